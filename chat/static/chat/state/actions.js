import { signal } from "@preact/signals";
import { _ } from "realtime/texts";

import { textToSend } from "../lib/outbox.js";
/** @import {ChatStore, Entry, Files, Message} from "../types.js" */

/**
 * The purpose of the text in the composer. An edit has a text of its own, which is no draft: leaving it keeps the draft.
 * @typedef {{kind: "reply", message: Message} | {kind: "edit", message: Message, text: string, saved: string}} Intent
 *   text: as it is typed; saved: the text that is being saved, or else `message.text`, which the server has
 */

/** The reader's actions on messages: answer, edit, react, send. Those of a menu are in message-actions.js. */
export class Actions {
  /** @param {ChatStore} store */
  constructor(store) {
    this.store = store;
    /** By room: the message that the next text answers or edits. */
    this.intents = signal(/** @type {ReadonlyMap<number, Intent>} */ (new Map()));
    /** How many times something was put into the composer, which gets the focus each time. */
    this.composerAsked = 0;
  }

  /** The popup that is open beside a message: its menu, or the emoji for reactions. */
  floating = signal(/** @type {{kind: "menu" | "emoji", message: Message, anchor: HTMLElement} | null} */ (null));

  /** @param {number} roomId */
  intentOf(roomId) {
    return this.intents.value.get(roomId) ?? null;
  }

  /** @param {Message} message */
  reply(message) {
    this.#leaveEdit(message.room_id);
    this.composerAsked += 1;
    this.#intend(message.room_id, { kind: "reply", message });
  }

  /** @param {Message} message */
  edit(message) {
    const { room_id, text } = message;
    const known = this.#editOf(message);
    if (known === null) this.#leaveEdit(room_id);
    this.composerAsked += 1;
    this.#intend(room_id, known ? { ...known, message } : { kind: "edit", message, text, saved: text });
  }

  /** Edit the reader's last message in a room, if it is on the page. @param {number} roomId */
  editLast(roomId) {
    const messages = this.store.stores.value.get(roomId)?.timeline.value?.messages ?? [];
    const last = messages.findLast((message) => message.author.id === this.store.me.id && !message.deleted);
    if (last) this.edit(last);
    return last !== undefined;
  }

  /** @param {number} roomId */
  cancel(roomId) {
    this.#intend(roomId, null);
  }

  /**
   * End the reply to a deleted message, or its edit, and close what is open about it. The text of the composer stays, as that
   * of a new message.
   * @param {Message} message
   */
  deleted({ id, room_id, seq }) {
    const { floating, store } = this;
    const asked = /** @type {{message?: Message} | null} */ (store.dialog.value);
    if (asked?.message?.id === id) store.dialog.value = null;
    if (floating.value?.message.id === id) floating.value = null;
    if (this.intentOf(room_id)?.message.seq !== seq) return;
    this.#leaveEdit(room_id);
    this.cancel(room_id);
  }

  /** The text in a room's composer. @param {number} roomId */
  textOf(roomId) {
    const intent = this.intentOf(roomId);
    return intent?.kind === "edit" ? intent.text : this.store.drafts.of(roomId);
  }

  /** @param {number} roomId @param {string} text */
  type(roomId, text) {
    const intent = this.intentOf(roomId);
    if (intent?.kind === "edit") this.#intend(roomId, { ...intent, text });
    else this.store.drafts.put(roomId, text);
  }

  /** Send what is in a room's composer. @param {number} roomId @returns {Promise<boolean>} whether it is done */
  async submit(roomId) {
    const intent = this.intentOf(roomId);
    const text = textToSend(this.textOf(roomId));
    if (intent?.kind === "edit") return this.#saveEdit(intent, text);
    if (!this.store.sender.send(roomId, text, { replyTo: intent?.message.seq ?? null, files: this.filesOf(roomId) })) {
      this.store.notice.value = _("Too many messages wait already. This one stays here until some are sent.");
      return false;
    }
    this.store.files.value?.put(roomId, []);
    this.store.drafts.put(roomId, "");
    this.store.notice.value = "";
    this.cancel(roomId);
    return true;
  }

  /** Put an unsent message back into the composer, before what is typed there. @param {Entry} entry */
  takeBack({ client_msg_id, room_id, text, reply_to, files = [] }) {
    this.composerAsked += 1;
    this.#leaveEdit(room_id);
    const answered = this.store.stores.value.get(room_id)?.message(reply_to ?? 0);
    this.#intend(room_id, answered ? { kind: "reply", message: answered } : null);
    this.#prepend(room_id, text);
    if (files.length > 0) this.#attach((held) => held.put(room_id, [...files, ...held.of(room_id)]));
    this.store.sender.forget(client_msg_id);
  }

  /** @param {Entry} entry */
  discard({ client_msg_id, files = [] }) {
    this.store.files.value?.cancel(files.map(({ key }) => key));
    this.store.sender.forget(client_msg_id);
  }

  /** Put files into a room's composer. @param {number} roomId @param {Iterable<File>} files */
  attach(roomId, files) {
    if (this.intentOf(roomId)?.kind === "edit") this.store.notice.value = _("Files come with a new message. Save or leave the edit first.");
    else this.#attach((held) => (this.store.notice.value = held.add(roomId, files)));
  }

  /** @param {(held: Files) => void} act */
  #attach(act) {
    const failed = () => (this.store.notice.value = _("A part of the page did not load. Check your network, and reload the page."));
    this.store.loadFiles().then(act, failed);
  }

  /** The files that would be sent from a room's composer. @param {number} roomId */
  filesOf(roomId) {
    return this.intentOf(roomId)?.kind === "edit" ? [] : (this.store.files.value?.of(roomId) ?? []);
  }

  /** @param {Message} message @param {string} emoji */
  react(message, emoji) {
    const isMine = message.reactions.some((each) => each.emoji === emoji && each.mine);
    return this.store.try(this.change(isMine ? "reaction.remove" : "reaction.add", message, { emoji }));
  }

  /** @param {Message} message */
  mayEdit(message) {
    return !message.deleted && message.author.id === this.store.me.id;
  }

  /** The edit of a message, if it is under way. @param {Message} message */
  #editOf({ room_id, seq }) {
    const intent = this.intentOf(room_id);
    return intent?.kind === "edit" && intent.message.seq === seq ? intent : null;
  }

  /** @param {Extract<Intent, {kind: "edit"}>} intent @param {string} text */
  async #saveEdit({ message, ...edit }, text) {
    this.#intend(message.room_id, { ...edit, message, saved: text });
    const isSaved = text === message.text || (await this.store.try(this.change("message.edit", message, { text })));
    const now = this.#editOf(message);
    if (now && !isSaved) this.#intend(message.room_id, { ...now, saved: now.message.text });
    // What was typed since is not saved yet.
    else if (now && textToSend(now.text) === text) this.cancel(message.room_id);
    else if (now) this.#intend(message.room_id, { ...now, message: { ...now.message, text } });
    return isSaved;
  }

  /** End an edit because the user begins something else. The changed text stays in the composer. @param {number} roomId */
  #leaveEdit(roomId) {
    const intent = this.intentOf(roomId);
    if (intent?.kind !== "edit") return;
    this.cancel(roomId);
    if (intent.text !== intent.saved) this.#prepend(roomId, intent.text);
  }

  /** Put a text before the draft of a room. @param {number} roomId @param {string} text */
  #prepend(roomId, text) {
    this.store.drafts.put(roomId, [text, this.store.drafts.of(roomId)].filter(Boolean).join("\n"));
  }

  /**
   * Send a request that changes a message, and show it as it is then.
   * @param {string} type @param {Message} message @param {Record<string, unknown>} [more]
   */
  async change(type, { room_id, seq }, more = {}) {
    const { payload } = await this.store.client.request(type, { room_id, seq, ...more });
    this.store.stores.value.get(room_id)?.changed(payload.message);
  }

  /** @param {number} roomId @param {Intent | null} intent */
  #intend(roomId, intent) {
    const intents = new Map(this.intents.value);
    if (intent === null) intents.delete(roomId);
    else intents.set(roomId, intent);
    this.intents.value = intents;
  }
}
