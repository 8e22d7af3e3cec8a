import { backoffMs } from "./backoff.js";
import { attemptAfter, closeAction, UNAUTHENTICATED } from "./close-codes.js";
import { Credentials } from "./credentials.js";
import { decode, encode } from "./envelope.js";
import { RealtimeError } from "./errors.js";
import { guarded } from "./guarded.js";
import { Heartbeat } from "./heartbeat.js";
import { pagesOf } from "./pages.js";
import { Requests } from "./requests.js";
import { Topics } from "./topics.js";

/** If a client offers it, the server refuses by a close code, which a browser can read. */
export const SUBPROTOCOL = "rockstar.v1";
/** The same, but one frame may hold several messages, one on each line. */
export const BATCH_SUBPROTOCOL = "rockstar.v1.batch";

const WELCOME_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;
// A connection must last this long before its end counts as a first failure again.
const STABLE_MS = 10_000;
const HURRY_EVERY_MS = 1_000;
// Codes that the browser itself reports if the connection ends without a close frame.
const ABNORMAL = 1006;

/**
 * `waiting`: the next retry is at `retryAtMs` (`Date.now()` time). `offline`: the same, while the browser
 * reports that there is no network. `stopped`: permanently; `code` says why.
 *
 * @typedef {{name: "connecting" | "online" | "waiting" | "offline" | "stopped", retryAtMs?: number, code?: number, reason?: string}} State
 * @typedef {import("./subscription.js").Position} Position
 * @typedef {{presence?: boolean, recover?: boolean, since?: Position | null, onPublication?: (publication: import("./subscription.js").Publication) => void,
 *   onSubscribed?: (reply: import("./subscription.js").Subscribed) => void, onRecovered?: (isComplete: boolean) => void,
 *   onPresence?: (change: PresenceChange) => void, onEnded?: (error: RealtimeError) => void}} SubscribeOptions
 * @typedef {{joined: any[], left: any[], count?: number}} PresenceChange
 *   count: how many there are, if the server does not name the users (not signed in, large topics)
 * @typedef {{getToken?: import("./credentials.js").GetToken, getTicket?: () => Promise<string | null> | string | null, queueMax?: number,
 *   WebSocket?: new (url: string, protocols: string[]) => any, createSocket?: (url: string, protocols: string[]) => any,
 *   random?: () => number, isReachable?: () => Promise<boolean>}} Options
 */

/**
 * One connection to a JSON endpoint that reconnects by itself and recovers missed publications.
 *
 * Without a connection requests fail at once, unless `queueMax` lets them wait. Subscriptions survive a reconnect.
 * Listen to `state`, `welcome`, `unauthenticated`, or to any push by its type.
 */
export class RealtimeClient {
  /** @type {State} */
  state = { name: "stopped" };
  /** @type {WebSocket | null} */
  #socket = null;
  #failures = 0;
  #onlineSinceMs = 0;
  /** When the last connection ended, and when the last attempt began. */
  #lostMs = 0;
  #triedMs = 0;
  #hasNetwork = true;
  /** Whether it was started and has stopped since. */
  #hasEnded = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Repeats a refresh of the token that failed. @type {ReturnType<typeof setTimeout> | undefined} */
  #refreshTimer;
  /** @type {Requests} */
  #requests;
  /** @type {Credentials} */
  #credentials;
  /** @type {Topics} */
  #topics;
  /** @type {Map<string, Set<(payload: any) => void>>} */
  #listeners = new Map();
  #heartbeat = new Heartbeat({ ping: () => this.#requests.send(encode("ping")), dead: () => this.#drop("no answer") });

  /**
   * @param {string} url of the endpoint: `wss://…`, or a path on this page's host
   * @param {Options} [options]
   *   getToken: returns an access token; null stops the client. It is kept over reconnects, refreshed in place before it ends
   *     and asked for again when the server refuses it
   *   getTicket: returns a new ticket for each connection
   *   queueMax: how many requests may wait for a connection; 0: they fail at once
   *   WebSocket: where there is no global one, as in Node 20: that of the package `ws`
   *   isReachable: asked before each reconnect, for example by a `fetch` (see `reachable.js`). Firefox delays new
   *   WebSockets to a host where some have failed, up to a minute; so none is opened while the server is away.
   *   The others are for tests.
   */
  constructor(url, options = {}) {
    const { WebSocket: Socket = globalThis.WebSocket, random = Math.random, isReachable, queueMax } = options;
    this.url = url;
    this.isReachable = isReachable;
    this.createSocket = options.createSocket ?? ((to, protocols) => new Socket(to, protocols));
    this.random = random;
    this.#credentials = new Credentials(options);
    // A closing socket fires its `close` event soon; its requests are rejected then.
    const send = (/** @type {string} */ frame) => this.#socket?.readyState === 1 && this.#socket.send(frame);
    this.#requests = new Requests(send, { queueMax, onTimeout: () => this.#heartbeat.doubt() });
    this.#topics = new Topics(this.#requests, () => this.random());
  }

  /**
   * Connect, and stay connected until `stop`. If the browser refuses the URL, its error is thrown and the client is
   * stopped.
   */
  start() {
    if (this.state.name !== "stopped") return;
    this.#hasEnded = false;
    this.#lostMs = Date.now();
    this.#connect();
  }

  /** Disconnect and do not reconnect. */
  stop() {
    this.#abandonSocket();
    this.#end();
  }

  /**
   * Wait until the client is online.
   * @returns {Promise<void>} rejects with RealtimeError when the client stops; `unauthenticated` where it needs a sign-in
   */
  ready() {
    return new Promise((resolve, reject) => {
      const look = (/** @type {State} */ state) => {
        if (state.name === "online") resolve();
        else if (this.#hasEnded) reject(RealtimeError.stopped(state));
        else return;
        silence();
      };
      const silence = this.on("state", look);
      look(this.state);
    });
  }

  /** Retry now instead of at the planned time. */
  reconnectNow() {
    if (this.state.name === "waiting" || this.state.name === "offline") this.#connect();
  }

  /** The user is active: retry now, but not within a second of the last attempt, nor if the server asked to wait. */
  hurry() {
    const mayHurry = closeAction(this.state.code ?? ABNORMAL, this.state.reason) !== "back-off";
    if (mayHurry && Date.now() - this.#triedMs >= HURRY_EVERY_MS) this.reconnectNow();
  }

  /** The page is visible again: reconnect at once, or check that the connection still answers. */
  checkNow() {
    this.reconnectNow();
    if (this.state.name === "online") this.#heartbeat.doubt();
  }

  /** The browser reports that the network is gone. Retries go on, because it does not know every network. */
  networkLost() {
    this.#hasNetwork = false;
    if (this.state.name === "connecting" || this.state.name === "online") this.#drop("offline");
    else if (this.state.name === "waiting") this.#setState({ ...this.state, name: "offline" });
  }

  /** The browser reports that the network is back. */
  networkFound() {
    this.#hasNetwork = true;
    this.checkNow();
  }

  /**
   * Send a request and wait for the reply with the same id. Of a paged reply (`query`) all pages: `items` has those of
   * every page.
   * @param {string} type
   * @param {Record<string, unknown>} [payload]
   * @param {{timeoutMs?: number}} [options] timeoutMs: until the reply, and between two pages of it
   * @returns {Promise<import("./envelope.js").Envelope>} rejects with RealtimeError
   */
  async request(type, payload = {}, { timeoutMs = REQUEST_TIMEOUT_MS } = {}) {
    if (this.#hasEnded) throw RealtimeError.stopped(this.state);
    /** @type {unknown[][]} */
    const pages = [];
    const last = await this.#requests.ask(type, payload, timeoutMs, (page) => pages.push(page.payload.items)).reply;
    if (pages.length === 0) return last;
    return { ...last, payload: { ...last.payload, items: [...pages, last.payload.items].flat() } };
  }

  /**
   * Send a request at the first step, and iterate over the pages of its reply as they come: the payload of each, or of
   * the only one. Leaving the loop early ends the request.
   *
   * `for await (const { items } of client.pages("query", { query: "orders", params: {} })) …`
   * @param {string} type
   * @param {Record<string, unknown>} [payload]
   * @param {{timeoutMs?: number}} [options] timeoutMs: until the first page, and between two
   * @returns {AsyncGenerator<Record<string, any>, void, void>} throws RealtimeError
   */
  async *pages(type, payload = {}, { timeoutMs = REQUEST_TIMEOUT_MS } = {}) {
    if (this.#hasEnded) throw RealtimeError.stopped(this.state);
    yield* pagesOf(this.#requests, type, payload, timeoutMs);
  }

  /**
   * Call `listener` for every push of this type, or for `state`, `welcome`, `unauthenticated`.
   * @param {string} type
   * @param {(payload: any) => void} listener
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * Subscribe to a topic, which may have several listeners. After a reconnect all missed publications are passed to
   * `onPublication`, once and in order. If the server cannot recover them, `onRecovered(false)` says that the state must be
   * loaded again. With `since`, the position that came with the page's data, the same holds from the first connection on.
   * @param {string} topic
   * @param {SubscribeOptions} [options]
   * @returns {() => void} ends this listener; the last one unsubscribes
   */
  subscribe(topic, options = {}) {
    return this.#topics.add(topic, options);
  }

  /**
   * Switch presence on or off for a topic that is subscribed to. The subscription stays, and
   * `onSubscribed` is called with the current presence.
   * @param {string} topic
   * @param {boolean} isWanted
   */
  setPresence(topic, isWanted) {
    this.#topics.setPresence(topic, isWanted);
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#triedMs = Date.now();
    this.#setState({ name: "connecting" });
    const isDoubtful = this.isReachable !== undefined && this.#failures > 0;
    if (isDoubtful || this.#credentials.isAsked) this.#prepare(isDoubtful, this.state);
    else this.#connectNow();
  }

  /**
   * @param {boolean} isDoubtful ask first whether the server is there
   * @param {State} attempt
   */
  async #prepare(isDoubtful, attempt) {
    try {
      const isThere = !isDoubtful || (await this.isReachable?.().catch(() => false));
      // Not asked for a server that is away.
      const access = isThere && this.#credentials.isAsked ? await this.#credentials.next() : undefined;
      // Stopped, or trying anew by now.
      if (this.state !== attempt) return;
      if (!isThere) this.#drop("unreachable");
      else if (access === null) this.#signedOut("signed out");
      else this.#connectNow(access);
    } catch (error) {
      // Also that a URL is refused: the client has stopped then.
      if (this.state === attempt) this.#drop(String(error));
    }
  }

  /** @param {{query: string, protocols: string[]}} [access] */
  #connectNow(access = { query: "", protocols: [] }) {
    const socket = this.#open(access);
    this.#socket = socket;
    socket.onmessage = (/** @type {MessageEvent} */ event) => this.#receive(socket, event.data);
    socket.onclose = (/** @type {CloseEvent} */ event) => this.#closed(event.code, String(event.reason));
    // Without a listener the sockets of `ws` throw. A `close` follows.
    socket.onerror = () => {};
    this.#timer = setTimeout(() => this.#drop("no welcome"), WELCOME_TIMEOUT_MS);
  }

  /** @param {{query: string, protocols: string[]}} access */
  #open({ query, protocols }) {
    try {
      const url = absolute(this.url) + (query && (this.url.includes("?") ? "&" : "?")) + query;
      return this.createSocket(url, [BATCH_SUBPROTOCOL, SUBPROTOCOL, ...protocols]);
    } catch (error) {
      // Trying again would not help: the URL is wrong, or there are no WebSockets here.
      this.#end({ reason: String(error) });
      throw error;
    }
  }

  /**
   * @param {WebSocket} socket
   * @param {unknown} frame
   */
  #receive(socket, frame) {
    this.#heartbeat.alive();
    const hasBatches = socket.protocol === BATCH_SUBPROTOCOL && typeof frame === "string";
    for (const text of hasBatches ? frame.split("\n") : [frame]) {
      // Handling one message may have ended the connection.
      if (socket === this.#socket) this.#take(decode(text));
    }
  }

  /** @param {import("./envelope.js").Envelope | null} message */
  #take(message) {
    if (message === null) return;
    if (message.id !== null) this.#requests.settle(message);
    else if (message.type === "welcome") this.#welcomed(message.payload);
    else this.#pushed(message.type, message.payload);
  }

  /** @param {Record<string, any>} welcome */
  #welcomed(welcome) {
    clearTimeout(this.#timer);
    this.#onlineSinceMs = Date.now();
    this.#credentials.refusals = 0;
    this.#requests.isOpen = true;
    const { interval_s, timeout_s } = welcome.heartbeat;
    this.#heartbeat.start(interval_s * 1000, timeout_s * 1000);
    this.#emit("welcome", welcome);
    // A listener may have stopped the client.
    if (!this.#requests.isOpen) return;
    // Before listeners are called, so that their requests come after the subscriptions.
    this.#topics.followAll();
    this.#requests.flush();
    this.#setState({ name: "online" });
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} payload
   */
  #pushed(type, payload) {
    this.#topics.pushed(type, payload);
    if (type === "expiring" && this.#credentials.getToken) this.#refresh(this.#socket);
    this.#emit(type, payload);
  }

  /**
   * Replace the token while the connection is open. Repeated until it succeeds; the connection may end before.
   * @param {WebSocket | null} socket
   */
  async #refresh(socket, failures = 1) {
    try {
      const token = await this.#credentials.fresh("expiring");
      if (token === null || socket !== this.#socket) return;
      await this.request("refresh", { token });
      this.#credentials.keep(token);
    } catch {
      // The end of the connection will say why, if it comes to that.
      this.#refreshTimer = setTimeout(() => socket === this.#socket && this.#refresh(socket, failures + 1), backoffMs(failures + 1, this.random()));
    }
  }

  /**
   * The socket has ended or was abandoned.
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const wasStable = this.#onlineSinceMs && Date.now() - this.#onlineSinceMs > STABLE_MS;
    if (this.#onlineSinceMs) this.#lostMs = Date.now();
    this.#abandonSocket();
    const action = closeAction(code, reason);
    if (action === "stop") return this.#end({ code, reason });
    if (action === "sign-in" && !this.#credentials.refused()) return this.#signedOut(reason);
    const attempt = attemptAfter(action, wasStable ? 0 : this.#failures);
    this.#failures = attempt + 1;
    const delayMs = backoffMs(attempt, this.random(), action === "back-off" ? Infinity : Date.now() - this.#lostMs);
    this.#timer = setTimeout(() => this.#connect(), delayMs);
    this.#setState({ name: this.#hasNetwork ? "waiting" : "offline", retryAtMs: Date.now() + delayMs, code, reason });
  }

  /** Only a new sign-in helps. @param {string} reason */
  #signedOut(reason) {
    const why = { code: UNAUTHENTICATED, reason };
    this.#end(why);
    this.#emit("unauthenticated", why);
  }

  /** @param {{code?: number, reason?: string}} [why] */
  #end(why) {
    this.#hasEnded = true;
    this.#requests.close(true);
    this.#setState({ name: "stopped", ...why });
  }

  /**
   * Abandon a socket without waiting for the server's close frame, which may never come.
   * @param {string} reason
   */
  #drop(reason) {
    this.#closed(ABNORMAL, reason);
  }

  #abandonSocket() {
    clearTimeout(this.#timer);
    clearTimeout(this.#refreshTimer);
    this.#heartbeat.stop();
    this.#onlineSinceMs = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#requests.close();
  }

  /** @param {State} state */
  #setState(state) {
    this.state = state;
    this.#emit("state", state);
  }

  /**
   * @param {string} type
   * @param {any} payload
   */
  #emit(type, payload) {
    // A copy: a listener may take away others.
    for (const listener of new Set(this.#listeners.get(type))) guarded(listener)(payload);
  }
}

/** @param {string} url of an endpoint, perhaps a path. @returns {string} */
function absolute(url) {
  // Older browsers take no paths and no `https:`; elsewhere there is no page to be relative to.
  return globalThis.location ? new URL(url, location.href).href.replace(/^http/, "ws") : url;
}
