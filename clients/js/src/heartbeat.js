/** How long a doubtful connection (after sleep, or a change of network) has to answer. */
export const DOUBT_MS = 4_000;

/** Detects a dead connection: after some silence it sends a ping, and after more silence it gives up. */
export class Heartbeat {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer;

  /** @param {{ping: () => void, dead: () => void}} actions */
  constructor({ ping, dead }) {
    this.ping = ping;
    this.dead = dead;
    this.intervalMs = 0;
    this.timeoutMs = 0;
  }

  /**
   * @param {number} intervalMs silence before a ping
   * @param {number} timeoutMs silence after the ping before the connection counts as dead; 0: it never does
   */
  start(intervalMs, timeoutMs) {
    this.intervalMs = intervalMs;
    this.timeoutMs = timeoutMs;
    this.alive();
  }

  /** Something arrived. */
  alive() {
    if (this.intervalMs > 0) this.#after(this.intervalMs, () => this.#ask(this.timeoutMs));
  }

  /** Send a ping now, because the machine slept or the page was hidden. */
  doubt() {
    if (this.intervalMs > 0) this.#ask(Math.min(DOUBT_MS, this.timeoutMs || DOUBT_MS));
  }

  stop() {
    this.intervalMs = 0;
    clearTimeout(this.timer);
  }

  /** @param {number} timeoutMs */
  #ask(timeoutMs) {
    if (timeoutMs > 0) this.#after(timeoutMs, () => this.dead());
    else this.#after(this.intervalMs, () => this.#ask(0));
    this.ping();
  }

  /**
   * @param {number} delayMs
   * @param {() => void} act
   */
  #after(delayMs, act) {
    clearTimeout(this.timer);
    this.timer = setTimeout(act, delayMs);
  }
}
