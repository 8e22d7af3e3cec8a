/**
 * @typedef {{epoch: string, offset: number}} Position
 * @typedef {{topic: string, offset: number, data: any, publisher: {id: number | string, username: string} | null, time: string, epoch?: string}} Publication
 * @typedef {{topic: string, epoch: string, offset: number, recovered: boolean | null, publications: Publication[], presence?: any}} Subscribed
 * @typedef {"applied" | "duplicate" | "held" | "gap"} Outcome
 */

// Publications that are held back at most. Those after them are recovered.
const HELD_MAX = 1000;

/**
 * The position of one listener in a topic: the last publication that it was given. It is given every
 * publication exactly once and in the order of the offsets. No sockets, no timers: the client drives it.
 */
export class Subscription {
  /**
   * @param {{recover?: boolean, since?: Position | null, onPublication?: (publication: Publication) => void}} [options]
   *   recover: false for topics whose history is not needed (typing)
   *   since: the position to start after, as the page was loaded with it
   */
  constructor({ recover = true, since, onPublication = () => {} } = {}) {
    this.wantsRecovery = recover;
    /** @type {string | null} */
    this.epoch = since?.epoch ?? null;
    this.offset = since?.offset ?? 0;
    this.onPublication = onPublication;
    /** Publications that arrived before the reply to `subscribe`; null while live. @type {Publication[] | null} */
    this.held = [];
    /** Whether publications are missing, so that it must be subscribed again. */
    this.isBehind = false;
  }

  /** The position to recover from; null at the first `subscribe`, and where no history is needed. @returns {Position | null} */
  get position() {
    return this.wantsRecovery && this.epoch !== null ? { epoch: this.epoch, offset: this.offset } : null;
  }

  /** From this call until `accept`, publications are held back. */
  hold() {
    this.held = [];
    this.isBehind = false;
  }

  /**
   * Go live with the server's reply.
   * @param {Subscribed} reply
   * @param {boolean | null} recovered whether the reply holds everything after `position`; null: nothing was asked
   * @returns {boolean | null} `recovered`: false means that something was missed and the state must be loaded again
   */
  accept(reply, recovered = reply.recovered) {
    const held = this.held ?? [];
    this.held = null;
    const goesOn = recovered === true || (this.epoch === reply.epoch && !this.wantsRecovery);
    this.epoch = reply.epoch;
    if (!goesOn) this.offset = reply.offset;
    if (recovered === true) {
      for (const publication of reply.publications) this.take(publication);
      this.offset = Math.max(this.offset, reply.offset);
    }
    for (const publication of held) this.take(publication);
    this.offset = Math.max(this.offset, reply.offset);
    return recovered;
  }

  /**
   * A publication was pushed.
   * @param {Publication} publication
   * @returns {Outcome} `gap`: earlier publications are missing; subscribe again to recover them
   */
  take(publication) {
    if (this.held !== null) {
      if (this.held.length < HELD_MAX) this.held.push(publication);
      else this.isBehind = true;
      return "held";
    }
    if (publication.offset <= this.offset) return "duplicate";
    if (this.wantsRecovery && publication.offset > this.offset + 1) {
      this.isBehind = true;
      return "gap";
    }
    this.offset = publication.offset;
    // The history goes on under another epoch, and nothing was lost.
    if (publication.epoch) this.epoch = publication.epoch;
    this.onPublication(publication);
    return "applied";
  }
}
