import { backoffMs } from "./backoff.js";
import { attemptAfter, closeAction } from "./close-codes.js";
import { decode, encode } from "./envelope.js";
import { RealtimeError } from "./errors.js";
import { guarded } from "./guarded.js";
import { Heartbeat } from "./heartbeat.js";
import { pagesOf } from "./pages.js";
import { Requests } from "./requests.js";
import { Subscription } from "./subscription.js";

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
// Topics in one `subscribe` at most. The next one waits for its answer.
const TOPICS_PER_REQUEST = 100;
// A message has at most 64 KiB. This leaves room for a position with each name, and for three bytes a
// character.
const NAMES_PER_REQUEST_CHARS = 16_000;
// The server ended a subscription because it lost publications. Subscribing again recovers them if possible.
const LOST_POSITION = "unrecoverable_position";
// The error for a topic that the answer leaves out.
const UNANSWERED = { code: "internal", message: "The server did not answer for this topic.", retryable: true };
const HEARTBEAT_DEFAULT = { interval_s: 25, timeout_s: 20 };

/**
 * `waiting`: the next retry is at `retryAtMs` (`Date.now()` time). `offline`: the same, while the browser
 * reports that there is no network. `stopped`: permanently; `code` says why.
 *
 * @typedef {{name: "connecting" | "online" | "waiting" | "offline" | "stopped", retryAtMs?: number, code?: number, reason?: string}} State
 * @typedef {{presence?: boolean, recover?: boolean, onPublication?: (publication: import("./subscription.js").Publication) => void,
 *   onSubscribed?: (reply: import("./subscription.js").Subscribed) => void, onRecovered?: (isComplete: boolean) => void,
 *   onPresence?: (change: PresenceChange) => void, onEnded?: (error: RealtimeError) => void}} SubscribeOptions
 * @typedef {{subscription: Subscription, options: SubscribeOptions, retry?: ReturnType<typeof setTimeout>, isAlone?: boolean,
 *   failures?: number}} Followed
 *   isAlone: subscribed in a request of its own, because a request with several topics was refused
 *   failures: refusals in a row that may be retried
 * @typedef {{joined: any[], left: any[], count?: number}} PresenceChange
 *   count: how many there are, if the server does not name the users (not signed in, large topics)
 */

/**
 * One connection to a JSON endpoint that reconnects by itself and recovers missed publications.
 *
 * Without a connection requests fail at once. Subscriptions survive a reconnect. Listen to `state`,
 * `welcome`, `unauthenticated`, or to any push by its type.
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
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer = undefined;
  // A closing socket fires its `close` event soon; its requests are rejected then.
  #requests = new Requests((frame) => this.#socket?.readyState === 1 && this.#socket.send(frame), () => this.#heartbeat.doubt());
  /** @type {Map<string, Followed>} */
  #topics = new Map();
  /** Topics that wait for a subscribe request: one request is in flight at a time. @type {Set<string>} */
  #toFollow = new Set();
  #isFollowing = false;
  /** @type {Map<string, Set<(payload: any) => void>>} */
  #listeners = new Map();
  #heartbeat = new Heartbeat({ ping: () => this.#send("ping"), dead: () => this.#drop("no answer") });

  /**
   * @param {string} url of the endpoint: `wss://…`, or a path on this page's host
   * @param {{createSocket?: (url: string, protocols: string[]) => WebSocket, random?: () => number,
   *   isReachable?: () => Promise<boolean>}} [options]
   *   isReachable: asked before each reconnect, for example by a `fetch` (see `reachable.js`). Firefox delays new
   *   WebSockets to a host where some have failed, up to a minute; so none is opened while the server is away.
   *   The others are for tests.
   */
  constructor(url, { createSocket = (to, protocols) => new WebSocket(to, protocols), random = Math.random, isReachable } = {}) {
    this.url = url;
    this.isReachable = isReachable;
    this.createSocket = createSocket;
    this.random = random;
  }

  /**
   * Connect, and stay connected until `stop`. If the browser refuses the URL, its error is thrown and the client is
   * stopped.
   */
  start() {
    if (this.state.name !== "stopped") return;
    this.#lostMs = Date.now();
    this.#connect();
  }

  /** Disconnect and do not reconnect. */
  stop() {
    this.#abandonSocket();
    this.#setState({ name: "stopped" });
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
    if (this.state.name !== "online") throw RealtimeError.disconnected();
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
    if (this.state.name !== "online") throw RealtimeError.disconnected();
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
   * Subscribe to a topic. After a reconnect all missed publications are passed to `onPublication`, once and
   * in order. If the server cannot recover them, `onRecovered(false)` says that the state must be loaded
   * again.
   * @param {string} topic
   * @param {SubscribeOptions} [options]
   * @returns {() => void} unsubscribes
   */
  subscribe(topic, options = {}) {
    if (this.#topics.has(topic)) throw new Error(`Already subscribed to ${topic}.`);
    const onPublication = guarded(options.onPublication);
    /** @type {Followed} */
    const followed = { subscription: new Subscription(topic, { ...options, onPublication }), options };
    this.#topics.set(topic, followed);
    if (this.state.name === "online") this.#follow([topic]);
    return () => {
      if (this.#topics.get(topic) !== followed) return;
      this.#forget(topic);
      if (this.state.name === "online") this.#send("unsubscribe", { topic });
    };
  }

  /**
   * Switch presence on or off for a topic that is subscribed to. The subscription stays, and
   * `onSubscribed` is called with the current presence.
   * @param {string} topic
   * @param {boolean} isWanted
   */
  setPresence(topic, isWanted) {
    const followed = this.#topics.get(topic);
    if (followed === undefined || followed.subscription.wantsPresence === isWanted) return;
    followed.subscription.wantsPresence = isWanted;
    if (this.state.name === "online") this.#follow([topic]);
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#triedMs = Date.now();
    this.#setState({ name: "connecting" });
    if (this.isReachable !== undefined && this.#failures > 0) this.#connectIfReachable(this.isReachable, this.state);
    else this.#connectNow();
  }

  /**
   * @param {() => Promise<boolean>} isReachable
   * @param {State} attempt
   */
  async #connectIfReachable(isReachable, attempt) {
    const isThere = await isReachable().catch(() => false);
    // Stopped, or trying anew by now.
    if (this.state !== attempt) return;
    if (isThere) this.#connectNow();
    else this.#drop("unreachable");
  }

  #connectNow() {
    const socket = this.#open();
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    this.#timer = setTimeout(() => this.#drop("no welcome"), WELCOME_TIMEOUT_MS);
  }

  #open() {
    try {
      return this.createSocket(this.url, [BATCH_SUBPROTOCOL, SUBPROTOCOL]);
    } catch (error) {
      // Trying again would not help: the URL is wrong, or there are no WebSockets here.
      this.#setState({ name: "stopped", reason: String(error) });
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
    const { interval_s, timeout_s } = welcome.heartbeat ?? HEARTBEAT_DEFAULT;
    this.#heartbeat.start(interval_s * 1000, timeout_s * 1000);
    this.#emit("welcome", welcome);
    // Before listeners are called, so that their requests come after the subscriptions.
    this.#follow([...this.#topics.keys()]);
    this.#setState({ name: "online" });
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} payload
   */
  #pushed(type, payload) {
    const followed = this.#topics.get(payload.topic);
    if (type === "publication" && followed?.subscription.take(/** @type {any} */ (payload)) === "gap") {
      this.#follow([payload.topic]);
    } else if (type === "presence") {
      guarded(followed?.options.onPresence)({ joined: payload.joined ?? [], left: payload.left ?? [], count: payload.count });
    } else if (type === "unsubscribed" && followed && payload.code === LOST_POSITION) {
      this.#follow([payload.topic]);
    } else if (type === "unsubscribed" && followed) {
      this.#forget(payload.topic);
      guarded(followed.options.onEnded)(new RealtimeError(String(payload.code), payload.reason ?? ""));
    }
    this.#emit(type, payload);
  }

  /** @param {string[]} topics */
  #follow(topics) {
    for (const topic of topics) this.#toFollow.add(topic);
    this.#followNext();
  }

  /**
   * Subscribe to waiting topics. Topics that are added during a request wait for its answer and go together.
   */
  async #followNext() {
    if (this.#isFollowing || this.#toFollow.size === 0) return;
    const topics = this.#nextTopics();
    for (const topic of topics) this.#toFollow.delete(topic);
    this.#isFollowing = true;
    await this.#followNow(topics.map((topic) => /** @type {Followed} */ (this.#topics.get(topic))));
    this.#isFollowing = false;
    this.#followNext();
  }

  /** Take the topics of the next request; at least one. */
  #nextTopics() {
    const [first] = this.#toFollow;
    if (this.#topics.get(first)?.isAlone) return [first];
    const topics = [];
    let chars = 0;
    for (const topic of this.#toFollow) {
      if (this.#topics.get(topic)?.isAlone) continue;
      chars += topic.length;
      if (topics.length === TOPICS_PER_REQUEST || chars > NAMES_PER_REQUEST_CHARS) break;
      topics.push(topic);
    }
    return topics;
  }

  /** @param {Followed[]} several */
  async #followNow(several) {
    for (const { retry } of several) clearTimeout(retry);
    const items = several.map(({ subscription }) => subscription.begin());
    const payload = items.length === 1 ? items[0] : { topics: items };
    try {
      const { reply: answer } = this.#requests.ask("subscribe", payload, REQUEST_TIMEOUT_MS);
      const reply = await answer;
      this.#followAnswered(several, items.length === 1 ? [reply.payload] : (reply.payload.topics ?? []));
    } catch (error) {
      const refusal = /** @type {RealtimeError} */ (error);
      // One invalid name fails the whole request, so each topic is tried again alone.
      const isShared = several.length > 1 && !refusal.retryable;
      for (const followed of several) isShared ? this.#followAlone(followed) : this.#followFailed(followed, refusal);
    }
  }

  /**
   * @param {Followed[]} several
   * @param {Record<string, any>[]} answers one for each topic: `subscribed` or an error
   */
  #followAnswered(several, answers) {
    const byTopic = new Map(answers.map((answer) => [answer.topic, answer]));
    for (const followed of several) {
      const answer = byTopic.get(followed.subscription.topic);
      if (!this.#isFollowed(followed)) continue;
      if (answer !== undefined && answer.error === undefined) this.#followed(followed, /** @type {any} */ (answer));
      else this.#followFailed(followed, RealtimeError.fromPayload(answer?.error ?? UNANSWERED), { isAlone: true });
    }
  }

  /**
   * @param {Followed} followed
   * @param {import("./subscription.js").Subscribed} subscribed
   */
  #followed(followed, subscribed) {
    followed.isAlone = false;
    followed.failures = 0;
    const recovered = followed.subscription.accept(subscribed);
    guarded(followed.options.onSubscribed)(subscribed);
    if (recovered !== null) guarded(followed.options.onRecovered)(recovered);
  }

  /** @param {Followed} followed */
  #followAlone(followed) {
    if (!this.#isFollowed(followed)) return;
    followed.isAlone = true;
    this.#toFollow.add(followed.subscription.topic);
  }

  /**
   * @param {Followed} followed
   * @param {RealtimeError} error
   * @param {{isAlone?: boolean}} [next] isAlone: retry in a request of its own
   */
  #followFailed(followed, error, { isAlone = false } = {}) {
    // If the connection was lost, the next `welcome` subscribes again.
    if (!this.#isFollowed(followed) || error.code === "disconnected") return;
    const { topic } = followed.subscription;
    if (error.retryable) {
      followed.isAlone = isAlone;
      followed.failures = (followed.failures ?? 0) + 1;
      const delayMs = Math.max(error.retryAfterMs, backoffMs(followed.failures + 1, this.random()));
      followed.retry = setTimeout(() => this.state.name === "online" && this.#follow([topic]), delayMs);
    } else {
      this.#forget(topic);
      guarded(followed.options.onEnded)(error);
    }
  }

  /** Whether the topic has not been unsubscribed meanwhile. @param {Followed} followed */
  #isFollowed(followed) {
    return this.#topics.get(followed.subscription.topic) === followed;
  }

  /** @param {string} topic */
  #forget(topic) {
    clearTimeout(this.#topics.get(topic)?.retry);
    this.#topics.delete(topic);
    this.#toFollow.delete(topic);
  }

  /**
   * The socket has ended or was abandoned.
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const wasStable = this.#onlineSinceMs > 0 && Date.now() - this.#onlineSinceMs > STABLE_MS;
    if (this.#onlineSinceMs > 0) this.#lostMs = Date.now();
    this.#abandonSocket();
    const action = closeAction(code, reason);
    if (action === "stop" || action === "sign-in") {
      this.#setState({ name: "stopped", code, reason });
      if (action === "sign-in") this.#emit("unauthenticated", { code, reason });
      return;
    }
    const attempt = attemptAfter(action, wasStable ? 0 : this.#failures);
    this.#failures = attempt + 1;
    const delayMs = backoffMs(attempt, this.random(), action === "back-off" ? Infinity : Date.now() - this.#lostMs);
    this.#timer = setTimeout(() => this.#connect(), delayMs);
    const name = this.#hasNetwork ? "waiting" : "offline";
    this.#setState({ name, retryAtMs: Date.now() + delayMs, code, reason });
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
    this.#heartbeat.stop();
    this.#onlineSinceMs = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#requests.failAll();
    this.#toFollow.clear();
  }

  /**
   * Send a message that wants no reply.
   * @param {string} type
   * @param {Record<string, unknown>} [payload]
   */
  #send(type, payload = {}) {
    this.#requests.send(encode(type, payload));
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
    for (const listener of [...(this.#listeners.get(type) ?? [])]) guarded(listener)(payload);
  }
}
