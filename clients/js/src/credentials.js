/**
 * @typedef {"connect" | "refused" | "expiring"} TokenReason
 *   connect: the first connection; refused: the server refused the last token; expiring: it ends within a minute
 * @typedef {(reason: {reason: TokenReason}) => Promise<string | null> | string | null} GetToken
 */

/** The credential of a connection: a token that is kept until it is refused, or a new ticket each time. */
export class Credentials {
  /** @type {string | null} */
  #token = null;
  /** Refusals in a row. */
  refusals = 0;

  /** @param {{getToken?: GetToken, getTicket?: () => Promise<string | null> | string | null}} options */
  constructor({ getToken, getTicket }) {
    this.getToken = getToken;
    this.getTicket = getTicket;
  }

  /** Whether there is anything to ask. */
  get isAsked() {
    return (this.getToken ?? this.getTicket) !== undefined;
  }

  /**
   * Return the parts of the next connection's address and subprotocols that hold the credential.
   * @returns {Promise<{query: string, protocols: string[]} | null>} null: nobody is signed in
   */
  async next() {
    const ticket = await this.getTicket?.();
    if (ticket) return { query: `ticket=${encodeURIComponent(ticket)}`, protocols: [] };
    this.#token ??= await this.fresh(this.refusals > 0 ? "refused" : "connect");
    return this.#token ? { query: "", protocols: [`bearer.${this.#token}`] } : null;
  }

  /** @param {TokenReason} reason @returns {Promise<string | null>} a new token */
  async fresh(reason) {
    return (await this.getToken?.({ reason })) ?? null;
  }

  /** The server has accepted it for the connection. @param {string} token */
  keep(token) {
    this.#token = token;
  }

  /**
   * The server refused the last one.
   * @returns {boolean} whether to connect with a new one: not if that was refused as well
   */
  refused() {
    this.#token = null;
    this.refusals += 1;
    return this.isAsked && this.refusals < 2;
  }
}
