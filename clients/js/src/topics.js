import { backoffMs } from "./backoff.js";
import { encode } from "./envelope.js";
import { RealtimeError } from "./errors.js";
import { Topic } from "./topic.js";

const REQUEST_TIMEOUT_MS = 10_000;
// Topics in one `subscribe` at most. The next one waits for its answer.
const TOPICS_PER_REQUEST = 100;
// A message has at most 64 KiB. This leaves room for a position with each name, and for three bytes a
// character.
const NAMES_PER_REQUEST_CHARS = 16_000;
// The server ended a subscription because it lost publications. Subscribing again recovers them if possible.
const LOST_POSITION = "unrecoverable_position";
// The error for a topic that the answer leaves out.
const UNANSWERED = { code: "internal", message: "The server did not answer in time.", retryable: true };

/** The topics of a client: subscribes to them, and again after a reconnect, a gap or a refusal that passes. */
export class Topics {
  /** @type {Map<string, Topic>} */
  #byName = new Map();
  /** Topics that wait for a subscribe request: one request is in flight at a time. @type {Set<string>} */
  #waiting = new Set();
  #isFollowing = false;
  #requests;
  #random;

  /**
   * @param {import("./requests.js").Requests} requests
   * @param {() => number} random
   */
  constructor(requests, random) {
    this.#requests = requests;
    this.#random = random;
  }

  /**
   * @param {string} name
   * @param {import("./client.js").SubscribeOptions} options
   * @returns {() => void} ends this listener; the last one unsubscribes
   */
  add(name, options) {
    if (typeof name !== "string") throw new TypeError(`No topic: ${name}`);
    const topic = this.#byName.get(name) ?? new Topic(name);
    this.#byName.set(name, topic);
    const listener = topic.add(options);
    this.#follow(name);
    return () => {
      if (!topic.listeners.delete(listener) || !this.#isFollowed(topic)) return;
      if (topic.listeners.size === 0) {
        this.#forget(topic);
        this.#requests.send(encode("unsubscribe", { topic: name }));
      } else if (options.presence) this.setPresence(name, [...topic.listeners].some((each) => each.options.presence));
    };
  }

  /** @param {string} name @param {boolean} isWanted */
  setPresence(name, isWanted) {
    const topic = this.#byName.get(name);
    if (topic === undefined || topic.wantsPresence === isWanted) return;
    topic.wantsPresence = isWanted;
    this.#follow(name);
  }

  /** There is a new connection, which has no subscriptions yet. */
  followAll() {
    this.#waiting = new Set(this.#byName.keys());
    this.#followNext();
  }

  /** @param {string} type @param {Record<string, any>} payload of a push */
  pushed(type, payload) {
    const topic = this.#byName.get(payload.topic);
    if (topic === undefined) return;
    if (type === "publication" && !topic.take(/** @type {any} */ (payload))) this.#follow(topic.name);
    else if (type === "presence") topic.tell("onPresence", { joined: payload.joined ?? [], left: payload.left ?? [], count: payload.count });
    else if (type === "unsubscribed" && payload.code === LOST_POSITION) this.#follow(topic.name);
    else if (type === "unsubscribed") this.#refused(topic, new RealtimeError(String(payload.code), payload.reason ?? ""));
  }

  /** @param {string} name */
  #follow(name) {
    // Without a connection, the next `welcome` subscribes.
    if (!this.#requests.isOpen) return;
    this.#waiting.add(name);
    this.#followNext();
  }

  /**
   * Subscribe to waiting topics. Topics that are added during a request wait for its answer and go together.
   */
  async #followNext() {
    if (this.#isFollowing || !this.#requests.isOpen || this.#waiting.size === 0) return;
    const topics = this.#nextTopics();
    for (const topic of topics) this.#waiting.delete(topic);
    this.#isFollowing = true;
    await this.#followNow(topics.map((topic) => /** @type {Topic} */ (this.#byName.get(topic))));
    this.#isFollowing = false;
    this.#followNext();
  }

  /** Take the topics of the next request; at least one. */
  #nextTopics() {
    const [first] = this.#waiting;
    if (this.#byName.get(first)?.isAlone) return [first];
    const topics = [];
    let chars = 0;
    for (const topic of this.#waiting) {
      if (this.#byName.get(topic)?.isAlone) continue;
      chars += topic.length;
      if (topics.length === TOPICS_PER_REQUEST || chars > NAMES_PER_REQUEST_CHARS) break;
      topics.push(topic);
    }
    return topics;
  }

  /** @param {Topic[]} several */
  async #followNow(several) {
    for (const { retry } of several) clearTimeout(retry);
    const items = several.map((topic) => topic.begin());
    const payload = items.length === 1 ? items[0] : { topics: items };
    try {
      const { reply: answer } = this.#requests.ask("subscribe", payload, REQUEST_TIMEOUT_MS);
      const { payload: told } = await answer;
      this.#followAnswered(several, told.topics ?? [told]);
    } catch (error) {
      const refusal = /** @type {RealtimeError} */ (error);
      // One invalid name fails the whole request, so each topic is tried again alone.
      const isShared = several.length > 1 && !refusal.retryable;
      for (const topic of several) {
        if (!isShared) this.#followFailed(topic, refusal);
        else if (this.#isFollowed(topic)) {
          topic.isAlone = true;
          this.#waiting.add(topic.name);
        }
      }
    }
  }

  /**
   * @param {Topic[]} several
   * @param {Record<string, any>[]} answers one for each topic: `subscribed` or an error
   */
  #followAnswered(several, answers) {
    const byTopic = new Map(answers.map((answer) => [answer.topic, answer]));
    for (const topic of several) {
      const answer = byTopic.get(topic.name);
      if (!this.#isFollowed(topic)) continue;
      if (answer === undefined || answer.error !== undefined) {
        this.#followFailed(topic, RealtimeError.fromPayload(answer?.error ?? UNANSWERED), true);
        continue;
      }
      topic.isAlone = false;
      topic.failures = 0;
      if (!topic.accept(/** @type {any} */ (answer))) this.#follow(topic.name);
    }
  }

  /**
   * @param {Topic} topic
   * @param {RealtimeError} error
   * @param {boolean} [isAlone] retry in a request of its own
   */
  #followFailed(topic, error, isAlone = false) {
    // If the connection was lost, the next `welcome` subscribes again.
    if (!this.#isFollowed(topic) || error.code === "disconnected") return;
    if (!error.retryable) return this.#refused(topic, error);
    topic.isAlone = isAlone;
    topic.failures += 1;
    const delayMs = Math.max(error.retryAfterMs, backoffMs(topic.failures + 1, this.#random()));
    topic.retry = setTimeout(() => this.#follow(topic.name), delayMs);
  }

  /** @param {Topic} topic @param {RealtimeError} error */
  #refused(topic, error) {
    this.#forget(topic);
    topic.tell("onEnded", error);
  }

  /** Whether the topic has not been unsubscribed meanwhile. @param {Topic} topic */
  #isFollowed(topic) {
    return this.#byName.get(topic.name) === topic;
  }

  /** @param {Topic} topic */
  #forget(topic) {
    clearTimeout(topic.retry);
    this.#byName.delete(topic.name);
    this.#waiting.delete(topic.name);
  }
}
