import { effect } from "@preact/signals";
import { _ } from "realtime/texts";

import { nameOf, summaryOf } from "../lib/format.js";
/** @import {ChatStore, Message, RoomStore} from "../types.js" */

// A message that was read by then, here or in another tab, needs no notification.
const WAIT_MS = 1_000;
const TEXT_MAX_CHARS = 200;

/**
 * Show a notification of the browser, unless the message is read soon. A later one of the same room takes its place.
 * @param {ChatStore} store @param {RoomStore} room @param {Message} message
 */
export function show(store, room, message) {
  setTimeout(() => {
    const { read_seq, kind, name } = room.room.value;
    const isDeleted = () => store.deleted.value.includes(message.id);
    if (message.seq <= read_seq || isDeleted()) return;
    const author = nameOf(message.author);
    const title = kind === "direct" ? author : _("{author} in {room}", { author, room: name });
    const notification = new Notification(title, { body: summaryOf(message).slice(0, TEXT_MAX_CHARS), tag: `${store.tenant.slug}-room-${room.id}` });
    notification.onclose = effect(() => void (isDeleted() && notification.close()));
    notification.onclick = () => {
      window.focus();
      store.select(room.id, message.seq);
      notification.close();
    };
  }, WAIT_MS);
}
