import { _ } from "realtime/texts";

import { MODERATOR } from "../lib/rights.js";
/** @import {ChatStore, Message} from "../types.js" */

/** The actions of a message's menu, which is loaded when it is opened. */

/** @param {ChatStore} store @param {Message} message @param {boolean} isPinned */
export async function pin(store, message, isPinned) {
  if (!(await store.try(store.actions.change(isPinned ? "pin.add" : "pin.remove", message)))) return;
  store.stores.value.get(message.room_id)?.pinned(message, isPinned);
  store.announce(isPinned ? _("Pinned") : _("Unpinned"));
}

/** Mark a message and the ones after it as unread. @param {ChatStore} store @param {Message} message */
export async function markUnread(store, { room_id, seq }) {
  const marked = store.client.request("read", { room_id, seq: seq - 1, is_unread: true });
  await store.try(marked.then(({ payload }) => store.stores.value.get(room_id)?.unread(payload.seq)));
}

/** The server decides; this only hides what it would refuse. @param {ChatStore} store @param {Message} message */
export function mayDelete(store, message) {
  const room = store.stores.value.get(message.room_id);
  const isModerator = room !== undefined && store.rank(room) >= MODERATOR;
  return !message.deleted && (message.author.id === store.me.id || isModerator);
}
