import { encode } from "./envelope.js";
import { RealtimeError } from "./errors.js";

/**
 * @typedef {import("./envelope.js").Envelope} Envelope
 * @typedef {(page: Envelope) => void} OnPage
 * @typedef {{resolve: (reply: Envelope) => void, reject: (error: RealtimeError) => void, onPage: OnPage, timeoutMs: number,
 *   timer?: ReturnType<typeof setTimeout>, unsent?: string}} Pending
 *   unsent: the frame of a request that waits for a connection
 */

/**
 * The requests of a client that wait for their replies.
 *
 * A paged reply is several messages with the id of the request. All but the last have `more: true`.
 */
export class Requests {
  /** Whether there is a connection. Without one, requests wait in the queue. */
  isOpen = false;
  #nextId = 1;
  /** @type {Map<string, Pending>} */
  #pending = new Map();

  /**
   * @param {(frame: string) => void} send
   * @param {{onTimeout?: () => void, queueMax?: number}} [options]
   *   onTimeout: a reply did not come in time, so the connection may be dead
   *   queueMax: how many requests may wait for a connection
   */
  constructor(send, { onTimeout = () => {}, queueMax = 0 } = {}) {
    this.send = send;
    this.onTimeout = onTimeout;
    this.queueMax = queueMax;
  }

  /**
   * Send a request. The promise resolves to the last message of its reply; `onPage` gets those before it.
   * @param {string} type
   * @param {Record<string, unknown>} payload
   * @param {number} timeoutMs until the reply, and between two pages of it
   * @param {OnPage} [onPage]
   * @returns {{id: string, reply: Promise<Envelope>}} rejects with RealtimeError
   */
  ask(type, payload, timeoutMs, onPage = () => {}) {
    const id = String(this.#nextId++);
    /** @type {Promise<Envelope>} */
    const reply = new Promise((resolve, reject) => {
      if (!this.isOpen && this.#pending.size >= this.queueMax) throw RealtimeError.disconnected();
      const frame = encode(type, payload, id);
      this.#pending.set(id, { resolve, reject, onPage, timeoutMs, unsent: this.isOpen ? undefined : frame });
      this.#wait(id);
      if (this.isOpen) this.send(frame);
    });
    return { id, reply };
  }

  /** Send what has waited for a connection, in the order in which it was asked. */
  flush() {
    for (const pending of this.#pending.values()) {
      if (pending.unsent !== undefined) this.send(pending.unsent);
      pending.unsent = undefined;
    }
  }

  /** Take a message that has an id. @param {Envelope} reply */
  settle(reply) {
    const id = String(reply.id);
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (reply.type !== "error" && reply.payload.more === true) {
      this.#wait(id);
      pending.onPage(reply);
      return;
    }
    this.#forget(id);
    if (reply.type === "error") pending.reject(RealtimeError.fromPayload(reply.payload));
    else pending.resolve(reply);
  }

  /** Make the server end a request, because its reply is no longer needed. @param {string} id */
  abandon(id) {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#forget(id);
    if (pending.unsent === undefined) this.send(encode("cancel", { id }));
  }

  /**
   * The connection has ended. Requests that were sent are rejected, because it is unknown whether they were carried out.
   * @param {boolean} [isFinal] what waits in the queue is rejected, too
   */
  close(isFinal = false) {
    this.isOpen = false;
    for (const [id, { reject, unsent }] of this.#pending) {
      if (!isFinal && unsent !== undefined) continue;
      this.#forget(id);
      reject(RealtimeError.disconnected());
    }
  }

  /** @param {string} id */
  #wait(id) {
    const pending = /** @type {Pending} */ (this.#pending.get(id));
    clearTimeout(pending.timer);
    pending.timer = setTimeout(() => {
      this.#forget(id);
      pending.reject(new RealtimeError("timeout", "The server did not answer in time.", { retryable: true }));
      if (pending.unsent === undefined) this.onTimeout();
    }, pending.timeoutMs);
  }

  /** @param {string} id */
  #forget(id) {
    clearTimeout(this.#pending.get(id)?.timer);
    this.#pending.delete(id);
  }
}
