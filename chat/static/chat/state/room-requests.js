import { computed, signal } from "@preact/signals";
/** @import {Message, Page, RealtimeClient, RealtimeError} from "../types.js" */

const PAGE = 100;
// If more pages of changes than this are missing, the messages are loaded anew.
const CATCH_UP_PAGES = 5;
const RETRY_MIN_MS = 5_000;

/** Requests about one room. A failure is shown in the room; after one that may pass, the room is updated again. */
export class RoomRequests {
  /** @param {RealtimeClient} client @param {number} roomId @param {() => void} onRetry */
  constructor(client, roomId, onRetry) {
    this.client = client;
    this.roomId = roomId;
    this.onRetry = onRetry;
    this.pages = signal(0);
    this.isLoading = computed(() => this.pages.value > 0);
    /** What the reader sees in the place of messages or lists that cannot be loaded, by the type of the request. */
    this.errors = signal(/** @type {Record<string, string>} */ ({}));
    /** The newest request for each list that is under way. @type {Map<string, symbol>} */
    this.turns = new Map();
    /** Why the last request failed. */
    this.failure = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retryTimer = undefined;
  }

  /**
   * The reply, or null if the request failed.
   * @param {string} type @param {Record<string, unknown>} [payload]
   * @param {(code: string) => boolean} [isAnswer] errors that are an answer, and no failure
   * @returns {Promise<any>}
   */
  async send(type, payload, isAnswer = () => false) {
    try {
      const reply = await this.client.request(type, { room_id: this.roomId, ...payload });
      if (this.errors.value[type]) this.errors.value = { ...this.errors.value, [type]: "" };
      return reply;
    } catch (error) {
      const failure = /** @type {RealtimeError} */ (error);
      if (isAnswer(failure.code)) return { error };
      this.#failed(type, failure);
      return null;
    }
  }

  /**
   * Ask for a whole list, and take it unless it was asked for again meanwhile: replies may come in another order.
   * @param {string} type @param {(payload: any) => void} take
   */
  async latest(type, take) {
    const turn = Symbol(type);
    this.turns.set(type, turn);
    const reply = await this.send(type);
    if (this.turns.get(type) !== turn) return;
    this.turns.delete(type);
    if (reply !== null) take(reply.payload);
  }

  /** A page of messages, or null if the request failed. @param {Record<string, unknown>} where @returns {Promise<Page | null>} */
  async page(where) {
    this.pages.value += 1;
    const reply = await this.send("message.list", { limit: PAGE, ...where });
    this.pages.value -= 1;
    return reply === null ? null : /** @type {any} */ (reply.payload);
  }

  /**
   * All messages that changed, from several pages. null: a request failed.
   * @param {number} rev the changes after this one
   * @returns {Promise<{messages: Message[], rev: number, isComplete: boolean} | null>} isComplete: false if there are too many,
   *   or if they are no longer stored
   */
  async changes(rev) {
    const found = { messages: /** @type {Message[]} */ ([]), rev, isComplete: false };
    for (let pages = 0; pages < CATCH_UP_PAGES && !found.isComplete; pages += 1) {
      const reply = await this.send("message.changes", { after_rev: found.rev, limit: PAGE }, (code) => code === "unrecoverable_position");
      if (reply === null) return null;
      if (reply.error) return found;
      found.messages.push(...reply.payload.messages);
      found.rev = reply.payload.last_rev;
      found.isComplete = !reply.payload.has_more;
    }
    return found;
  }

  /** @param {string} type @param {RealtimeError} error */
  #failed(type, { code, message, retryable, retryAfterMs }) {
    this.failure = message;
    // The connection bar shows this already, and the data is requested again after the reconnect.
    if (code === "disconnected") return;
    this.errors.value = { ...this.errors.value, [type]: message };
    const retry = () => {
      this.retryTimer = undefined;
      this.onRetry();
    };
    if (retryable) this.retryTimer ??= setTimeout(retry, Math.max(retryAfterMs, RETRY_MIN_MS));
  }
}
