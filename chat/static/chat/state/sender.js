import { signal } from "@preact/signals";

import { marked, nextToSend, restored, withMessage, without } from "../lib/outbox.js";

/** @typedef {import("../lib/outbox.js").Entry} Entry */

const RETRY_MS = 2_000;

/**
 * Sends messages in order, one after the other, and again after every temporary failure, always with the same
 * client_msg_id. Unsent messages are stored for the tab and survive a reload.
 */
export class Sender {
  /**
   * @param {{client: import("realtime/client").RealtimeClient, storageKey: string, onSent: (message: import("../lib/timeline.js").Message) => void}} options
   */
  constructor({ client, storageKey, onSent }) {
    this.client = client;
    this.storageKey = storageKey;
    this.onSent = onSent;
    this.outbox = signal(restored(this.#read()));
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retry = undefined;
  }

  /**
   * @param {number} roomId
   * @param {string} text
   */
  send(roomId, text) {
    const client_msg_id = newId();
    this.#change(withMessage(this.outbox.value, { client_msg_id, room_id: roomId, text, created_at: new Date().toISOString() }));
    this.flush();
  }

  /** @param {string} clientMsgId */
  again(clientMsgId) {
    this.#change(marked(this.outbox.value, clientMsgId, "waiting"));
    this.flush();
  }

  /** Remove a message that was delivered or discarded. @param {string} clientMsgId */
  forget(clientMsgId) {
    if (this.outbox.value.some((entry) => entry.client_msg_id === clientMsgId)) {
      this.#change(without(this.outbox.value, clientMsgId));
    }
  }

  /** Send the waiting messages, if there is a connection. */
  async flush() {
    const entry = nextToSend(this.outbox.value);
    if (entry === null || this.client.state.name !== "online") return;
    clearTimeout(this.retry);
    this.#change(marked(this.outbox.value, entry.client_msg_id, "sending"));
    const { room_id, text, client_msg_id } = entry;
    try {
      const reply = await this.client.request("message.send", { room_id, text, client_msg_id });
      this.onSent(reply.payload.message);
      this.flush();
    } catch (error) {
      this.#failed(client_msg_id, /** @type {any} */ (error));
    }
  }

  /**
   * @param {string} clientMsgId
   * @param {{code: string, message: string, retryable: boolean, retryAfterMs: number}} error
   */
  #failed(clientMsgId, error) {
    if (error.retryable) {
      this.#change(marked(this.outbox.value, clientMsgId, "waiting"));
      this.retry = setTimeout(() => this.flush(), Math.max(error.retryAfterMs, RETRY_MS));
    } else {
      this.#change(marked(this.outbox.value, clientMsgId, "failed", error.message));
      this.flush();
    }
  }

  /** @param {Entry[]} outbox */
  #change(outbox) {
    this.outbox.value = outbox;
    try {
      sessionStorage.setItem(this.storageKey, JSON.stringify(outbox));
    } catch {
      // Storage is blocked or full: waiting messages are kept only as long as the page.
    }
  }

  #read() {
    try {
      return sessionStorage.getItem(this.storageKey);
    } catch {
      return null;
    }
  }
}

/** A UUID. `crypto.randomUUID` does not exist on plain http outside of localhost. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
