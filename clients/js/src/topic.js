import { guarded } from "./guarded.js";
import { Subscription } from "./subscription.js";

/**
 * @typedef {import("./subscription.js").Publication} Publication
 * @typedef {import("./subscription.js").Subscribed} Subscribed
 * @typedef {import("./subscription.js").Position} Position
 * @typedef {import("./client.js").SubscribeOptions} SubscribeOptions
 * @typedef {{topic: string, recover?: Position, presence?: boolean}} Subscribe
 * @typedef {{position: Subscription, options: SubscribeOptions}} Listener
 */

/**
 * One topic of a connection, with its listeners. They share one subscription of the server; each has a
 * position of its own. No sockets, no timers: the client drives it.
 */
export class Topic {
  /** @type {Set<Listener>} */
  listeners = new Set();
  wantsPresence = false;
  /** Whether presence was last requested from the server. Only then is it switched off again. */
  hasPresence = false;
  /** Subscribed in a request of its own, because a request with several topics was refused. */
  isAlone = false;
  /** Refusals in a row that may be retried. */
  failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  retry;
  /** The position that the last `subscribe` recovers from. @type {Position | null} */
  #asked = null;
  /** Those that it was for. Later ones wait for the next. @type {Listener[]} */
  #begun = [];

  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /** @param {SubscribeOptions} options @returns {Listener} */
  add(options) {
    const position = new Subscription({ ...options, onPublication: guarded(options.onPublication) });
    const listener = { position, options };
    this.listeners.add(listener);
    this.wantsPresence ||= !!options.presence;
    return listener;
  }

  /** The entry for the next `subscribe`. From this call until `accept`, publications are held back. */
  begin() {
    this.#asked = null;
    this.#begun = [...this.listeners];
    for (const { position } of this.#begun) {
      position.hold();
      const own = position.position;
      // The oldest position. Of another epoch than the others' nothing can be recovered.
      if (own !== null && (this.#asked === null || (own.epoch === this.#asked.epoch && own.offset < this.#asked.offset))) this.#asked = own;
    }
    /** @type {Subscribe} */
    const payload = { topic: this.name };
    if (this.wantsPresence || this.hasPresence) payload.presence = this.wantsPresence;
    this.hasPresence = this.wantsPresence;
    if (this.#asked !== null) payload.recover = this.#asked;
    return payload;
  }

  /**
   * Go live with the server's reply.
   * @param {Subscribed} reply
   * @returns {boolean} false: subscribe again, because a listener is behind
   */
  accept(reply) {
    const asked = this.#asked;
    let isComplete = true;
    for (const { position, options } of this.#begun.filter((each) => this.listeners.has(each))) {
      const own = position.position;
      const isOfAsked = own !== null && own.epoch === asked?.epoch;
      if (isOfAsked && reply.recovered === false && own.offset > /** @type {Position} */ (asked).offset) {
        // Only the older position of another listener was too old.
        isComplete = false;
        continue;
      }
      const recovered = position.accept(reply, own === null ? null : isOfAsked && reply.recovered);
      if (position.isBehind) isComplete = false;
      guarded(options.onSubscribed)({ ...reply, recovered });
      if (recovered !== null) guarded(options.onRecovered)(recovered);
    }
    return isComplete;
  }

  /**
   * A publication was pushed.
   * @param {Publication} publication
   * @returns {boolean} false: subscribe again, because a listener is behind
   */
  take(publication) {
    return ![...this.listeners].map(({ position }) => position.take(publication)).includes("gap");
  }

  /**
   * Call a function of every listener.
   * @param {"onPresence" | "onEnded"} name
   * @param {any} value
   */
  tell(name, value) {
    for (const { options } of [...this.listeners]) guarded(/** @type {(value: any) => void} */ (options[name]))(value);
  }
}
