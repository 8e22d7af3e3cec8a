/**
 * @typedef {{topic: string, offset: number, data: any, publisher: {id: number, username: string} | null, time: string, epoch?: string}} Publication
 * @typedef {{topic: string, epoch: string, offset: number, recovered: boolean | null, publications: Publication[], presence?: any}} Subscribed
 * @typedef {{topic: string, recover?: {epoch: string, offset: number}, presence?: boolean}} Subscribe
 * @typedef {"applied" | "duplicate" | "held" | "gap"} Outcome
 */

/**
 * The position of one topic: the last publication applied, which a reconnect recovers from. Every
 * publication is passed on exactly once and in the order of the offsets. No sockets, no timers: the client
 * drives it.
 */
export class Subscription {
  /**
   * @param {string} topic
   * @param {{presence?: boolean, recover?: boolean, onPublication?: (publication: Publication) => void}} [options]
   *   recover: false for topics whose history is not needed (typing)
   */
  constructor(topic, { presence = false, recover = true, onPublication = () => {} } = {}) {
    this.topic = topic;
    this.wantsPresence = presence;
    /** Whether presence was last requested from the server. Only then is it switched off again. */
    this.hasPresence = false;
    this.wantsRecovery = recover;
    /** @type {string | null} */
    this.epoch = null;
    this.offset = 0;
    this.onPublication = onPublication;
    /** Publications that arrived before the reply to `subscribe`; null while live. @type {Publication[] | null} */
    this.held = [];
  }

  /** The entry for the next `subscribe`. From this call until `accept`, publications are held back. */
  begin() {
    this.held = [];
    /** @type {Subscribe} */
    const payload = { topic: this.topic };
    if (this.wantsPresence || this.hasPresence) payload.presence = this.wantsPresence;
    this.hasPresence = this.wantsPresence;
    if (this.wantsRecovery && this.epoch !== null) payload.recover = { epoch: this.epoch, offset: this.offset };
    return payload;
  }

  /**
   * Go live with the server's reply.
   * @param {Subscribed} reply
   * @returns {boolean | null} `recovered`: false means that something was missed and the state must be loaded again
   */
  accept(reply) {
    const held = this.held ?? [];
    this.held = null;
    this.epoch = reply.epoch;
    const missed = reply.recovered === true ? reply.publications : [];
    if (reply.recovered !== true) this.offset = reply.offset;
    for (const publication of missed) this.take(publication);
    this.offset = Math.max(this.offset, reply.offset);
    for (const publication of held) this.take(publication);
    return reply.recovered;
  }

  /**
   * A publication was pushed.
   * @param {Publication} publication
   * @returns {Outcome} `gap`: earlier publications are missing; subscribe again to recover them
   */
  take(publication) {
    if (this.held !== null) {
      this.held.push(publication);
      return "held";
    }
    if (publication.offset <= this.offset) return "duplicate";
    if (this.wantsRecovery && publication.offset > this.offset + 1) return "gap";
    this.offset = publication.offset;
    // The history goes on under another epoch, and nothing was lost.
    if (publication.epoch) this.epoch = publication.epoch;
    this.onPublication(publication);
    return "applied";
  }
}
