import { encode } from "./envelope.js";
import { RealtimeError } from "./errors.js";

/**
 * @typedef {import("./envelope.js").Envelope} Envelope
 * @typedef {(page: Envelope) => void} OnPage
 * @typedef {{resolve: (reply: Envelope) => void, reject: (error: RealtimeError) => void, onPage: OnPage, timeoutMs: number,
 *   timer: ReturnType<typeof setTimeout> | undefined}} Pending
 */

/**
 * The requests of a connection that wait for their replies.
 *
 * A paged reply is several messages with the id of the request. All but the last have `more: true`.
 */
export class Requests {
  #nextId = 1;
  /** @type {Map<string, Pending>} */
  #pending = new Map();

  /**
   * @param {(frame: string) => void} send
   * @param {() => void} [onTimeout] a reply did not come in time: the connection may be dead
   */
  constructor(send, onTimeout = () => {}) {
    this.send = send;
    this.onTimeout = onTimeout;
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
      this.#pending.set(id, { resolve, reject, onPage, timeoutMs, timer: undefined });
      this.#wait(id);
      this.send(encode(type, payload, id));
    });
    return { id, reply };
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
    if (!this.#pending.has(id)) return;
    this.#forget(id);
    this.send(encode("cancel", { id }));
  }

  /** The connection has ended. */
  failAll() {
    for (const [id, { reject }] of [...this.#pending]) {
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
      this.onTimeout();
    }, pending.timeoutMs);
  }

  /** @param {string} id */
  #forget(id) {
    clearTimeout(this.#pending.get(id)?.timer);
    this.#pending.delete(id);
  }
}
