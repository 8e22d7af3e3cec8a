import { signal } from "@preact/signals";
import { _ } from "realtime/texts";

import { afterError, changed, nextToSend, OUTBOX_MAX, withLeft, withMessage, without } from "../lib/outbox.js";
/** @import {Attachment, Entry, Files, Message, RealtimeClient} from "../types.js" */

const NOT_LOADED = { code: "unreachable", message: _("The server could not be reached."), retryable: true, retryAfterMs: 0 };

/**
 * Sends messages, the ones of a room in order, and again after every temporary failure, always with the same
 * client_msg_id. Files are uploaded first. Unsent messages are stored for the user and survive the tab.
 */
export class Sender {
  /**
   * @param {{client: RealtimeClient, storage: import("./storage.js").BrowserStorage,
   *   loadFiles: () => Promise<Pick<Files, "upload" | "cancel">>, onSent: (message: Message) => void}} options
   */
  constructor({ client, storage, loadFiles, onSent }) {
    this.client = client;
    this.loadFiles = loadFiles;
    this.storage = storage;
    this.onSent = onSent;
    this.outbox = signal(/** @type {Entry[]} */ ([]));
    /** Rooms that wait before they try again. @type {Map<number, ReturnType<typeof setTimeout>>} */
    this.paused = new Map();
  }

  /** Take over the messages that closed tabs of the same user have left. */
  async adopt() {
    const left = await this.storage.adoptEntries();
    this.outbox.value = withLeft(this.outbox.value, left);
    this.flush();
  }

  /**
   * @param {number} roomId @param {string} text
   * @param {{replyTo?: number | null, files?: readonly Attachment[]}} [more] replyTo: seq of the message that is answered
   * @returns {boolean} false: too many messages wait already
   */
  send(roomId, text, { replyTo = null, files = [] } = {}) {
    if (this.outbox.value.length >= OUTBOX_MAX) return false;
    const message = { client_msg_id: newId(), room_id: roomId, text, reply_to: replyTo, files, created_at: new Date().toISOString() };
    this.outbox.value = withMessage(this.outbox.value, message);
    this.#store(message.client_msg_id);
    this.flush();
    return true;
  }

  /** @param {string} clientMsgId */
  again(clientMsgId) {
    this.#change(clientMsgId, { state: "waiting", error: "", tries: 0 });
    this.flush();
  }

  /** Remove a message that was delivered or discarded. @param {string} clientMsgId */
  forget(clientMsgId) {
    if (!this.#entry(clientMsgId)) return;
    this.outbox.value = without(this.outbox.value, clientMsgId);
    this.storage.deleteEntry(clientMsgId);
  }

  /** Send the waiting messages, if there is a connection. */
  flush() {
    if (this.client.state.name !== "online") return;
    for (const entry of nextToSend(this.outbox.value, new Set(this.paused.keys()))) this.#send(entry);
  }

  /** Try at once in all rooms, after a reconnect. */
  flushAll() {
    for (const timer of this.paused.values()) clearTimeout(timer);
    this.paused.clear();
    this.flush();
  }

  /** @param {Entry} entry */
  async #send({ client_msg_id, room_id, text, reply_to, files = [] }) {
    // Not stored: a later page sends it again in either state, and nothing is written while the next message may need it.
    this.outbox.value = changed(this.outbox.value, client_msg_id, { state: "sending" });
    const answered = reply_to == null ? {} : { reply_to };
    try {
      const attached = files.length === 0 ? {} : { file_ids: await this.#uploaded(client_msg_id, files) };
      if (this.#entry(client_msg_id) === undefined) return this.flush();
      const reply = await this.client.request("message.send", { room_id, text, client_msg_id, ...answered, ...attached });
      this.onSent(reply.payload.message);
      this.forget(client_msg_id);
    } catch (error) {
      this.#failed(client_msg_id, /** @type {any} */ (error));
    }
    this.flush();
  }

  /**
   * Upload a message's files and keep their ids with it: a retry names the same ones.
   * @param {string} clientMsgId @param {readonly Attachment[]} files
   */
  async #uploaded(clientMsgId, files) {
    const uploads = await this.loadFiles().catch(() => Promise.reject(NOT_LOADED));
    const named = (/** @type {string} */ name, /** @type {any} */ error) => Promise.reject({ ...error, message: `${name}: ${error.message}` });
    const ids = await Promise.all(files.map((file) => uploads.upload(file).catch((error) => named(file.name, error))));
    this.#change(clientMsgId, { files: files.map((file, index) => ({ ...file, id: ids[index] })) });
    uploads.cancel(files.map(({ key }) => key));
    return ids;
  }

  /** @param {string} clientMsgId @param {{code: string, message: string, retryable: boolean, retryAfterMs: number}} error */
  #failed(clientMsgId, error) {
    const entry = this.#entry(clientMsgId);
    // Discarded meanwhile, or its publication came before the error.
    if (entry === undefined) return;
    const { change, delayMs } = afterError(entry, error);
    // The server keeps files without a message for a day.
    const files = error.code === "not_found" ? { files: entry.files?.map((file) => ({ ...file, id: null })) } : {};
    this.#change(clientMsgId, { ...change, ...files });
    if (delayMs > 0) this.#pause(entry.room_id, delayMs);
  }

  /** @param {number} roomId @param {number} delayMs */
  #pause(roomId, delayMs) {
    clearTimeout(this.paused.get(roomId));
    const goOn = () => {
      this.paused.delete(roomId);
      this.flush();
    };
    this.paused.set(roomId, setTimeout(goOn, delayMs));
  }

  /** @param {string} clientMsgId @param {Partial<Entry>} change */
  #change(clientMsgId, change) {
    this.outbox.value = changed(this.outbox.value, clientMsgId, change);
    this.#store(clientMsgId);
  }

  /** @param {string} clientMsgId */
  #entry(clientMsgId) {
    return this.outbox.value.find((entry) => entry.client_msg_id === clientMsgId);
  }

  /** @param {string} clientMsgId */
  #store(clientMsgId) {
    const entry = this.#entry(clientMsgId);
    if (entry !== undefined) this.storage.putEntry(entry);
  }
}

/** 16 random bytes, as a UUID is written. `crypto.randomUUID` does not exist on plain http outside of localhost. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
