import { _ } from "../texts.js";
import { appendTo, joined, samplesOf } from "./series.js";

/** Seconds between two pushes. */
const INTERVAL_S = 2;
/** Pushes that are kept beside the stored samples. Beyond it those are read again. */
const PUSHED_MAX = 300;
/** A silence of this many pushes is a gap. */
const GAP_PUSHES = 3;
const GAP_MS = GAP_PUSHES * INTERVAL_S * 1000;

/**
 * The state of the overview: the last push, and the values of the charts over time. It tells its listeners of changes.
 *
 * @typedef {{tenant: string, route: string, node: string, rangeS: number}} Wanted "" is all
 * @typedef {{request: (verb: string, payload?: any) => Promise<unknown>, state: import("../client.js").State}} Client
 */
export class LiveStore {
  /** @type {any} */
  beat = null;
  /** @type {number | null} */
  lastPushMs = null;
  /** @type {import("./series.js").Sample[]} */
  samples = [];
  /** Why the stored samples could not be read. */
  error = "";
  isPaused = false;
  intervalS = INTERVAL_S;
  /** @type {Wanted} */
  wanted = { tenant: "", route: "", node: "", rangeS: 0 };
  /** @type {import("./series.js").Sample[]} */
  #stored = [];
  /** @type {import("./series.js").Sample[]} */
  #pushed = [];
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #reading = new AbortController();

  /**
   * @param {Client} client
   * @param {(params: Record<string, string>, signal: AbortSignal) => Promise<import("./series.js").History>} readHistory
   * @param {() => boolean} isHidden
   * @param {string | null} ownTenant the tenant that the operator is bound to
   */
  constructor(client, readHistory, isHidden, ownTenant) {
    this.client = client;
    this.readHistory = readHistory;
    this.isHidden = isHidden;
    this.ownTenant = ownTenant;
  }

  /** @param {() => void} listener @returns {() => void} ends it */
  listen(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Show these figures from now on. @param {Wanted} wanted */
  want(wanted) {
    const isSame = Object.entries(this.wanted).every(([name, value]) => /** @type {any} */ (wanted)[name] === value);
    if (isSame) return;
    const isOther = ["tenant", "route", "node"].some((name) => /** @type {any} */ (wanted)[name] !== /** @type {any} */ (this.wanted)[name]);
    this.wanted = wanted;
    if (isOther) {
      this.beat = null;
      this.#pushed = [];
      this.follow();
    }
    this.#stored = [];
    this.#draw();
    this.read();
  }

  togglePause() {
    this.isPaused = !this.isPaused;
    this.follow();
    this.#tell();
  }

  /** Run the feed only while the page is visible and not paused. Call it when that, or the connection, has changed. */
  async follow() {
    const { tenant, route, node } = this.wanted;
    const payload = { interval_s: INTERVAL_S, tenant: tenant || null, route: route || null, node: node || null };
    try {
      if (this.isPaused || this.isHidden()) await this.client.request("live.stop");
      else await this.client.request("live.start", payload);
      this.error = "";
    } catch (error) {
      // Without a connection there is nothing to switch. This is called again after the next `welcome`.
      if (this.client.state.name === "online") this.error = /** @type {Error} */ (error).message;
    }
    this.#tell();
  }

  /** Take a push. @param {any} beat @param {number} nowMs */
  take(beat, nowMs) {
    if (this.isPaused || !this.#isWanted(beat)) return;
    const hasGap = this.lastPushMs !== null && nowMs - this.lastPushMs > GAP_MS;
    this.beat = beat;
    this.lastPushMs = nowMs;
    this.intervalS = beat.interval_s;
    // Times of the server, as those of the stored samples.
    appendTo(this.#pushed, { timeMs: Date.parse(beat.time), values: beat.point }, GAP_MS);
    this.#draw();
    // The server has stored the figures of a gap.
    if (hasGap || this.#pushed.length > PUSHED_MAX) this.read();
  }

  /** Read the stored samples of the range. */
  async read() {
    const { rangeS, tenant, route, node } = this.wanted;
    if (rangeS === 0) return;
    this.#reading.abort();
    const reading = (this.#reading = new AbortController());
    try {
      const history = await this.readHistory({ range_s: String(rangeS), tenant, route, node }, reading.signal);
      if (reading.signal.aborted) return;
      this.#stored = samplesOf(history);
      const endMs = this.#stored.at(-1)?.timeMs ?? -Infinity;
      this.#pushed = this.#pushed.slice(-PUSHED_MAX).filter(({ timeMs }) => timeMs > endMs);
      this.error = "";
    } catch (error) {
      if (reading.signal.aborted) return;
      this.#pushed = this.#pushed.slice(-PUSHED_MAX);
      this.error = _("The past cannot be read: {error}", { error: /** @type {Error} */ (error).message });
    }
    this.#draw();
  }

  /** Whether a push is of the figures that are wanted now, and not of those before. @param {any} beat */
  #isWanted(beat) {
    const { tenant, route, node } = this.wanted;
    return beat.tenant === (tenant || this.ownTenant) && beat.route === (route || null) && beat.node === (node || null);
  }

  #draw() {
    const step = this.#stored.length > 1 ? this.#stored[this.#stored.length - 1].timeMs - this.#stored[this.#stored.length - 2].timeMs : 0;
    this.samples = joined(this.#stored, this.#pushed, Math.max(GAP_MS, step * 2));
    this.#tell();
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }
}

/** The part of the cluster that the figures are of: as the lists say it. @param {any[]} nodes of a push */
export function coverageOf(nodes) {
  const late = nodes.filter(({ is_late }) => is_late);
  const ageMs = Math.max(0, ...nodes.filter(({ is_late }) => !is_late).map(({ age_s }) => age_s)) * 1000;
  return { answer: { nodes_answered: nodes.length - late.length, nodes_total: nodes.length }, ageMs, late: late.map(({ node }) => node) };
}
