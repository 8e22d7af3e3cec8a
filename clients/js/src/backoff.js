/** Shortest wait before a reconnect. */
export const BACKOFF_MIN_MS = 500;
/** Longest wait before a reconnect. */
export const BACKOFF_MAX_MS = 20_000;
/** Longest wait while the outage is younger than `BACKOFF_YOUNG_MS`: most are short. */
export const BACKOFF_MAX_WHILE_YOUNG_MS = 5_000;
export const BACKOFF_YOUNG_MS = 60_000;

/**
 * How long to wait before reconnecting: full jitter, so that clients that lose their connections together do
 * not return together. The wait is random, from the minimum to a bound that doubles with each failed attempt,
 * up to the maximum.
 * @param {number} attempt failed attempts so far, from 0
 * @param {number} random in [0, 1)
 * @param {number} [outageMs] how long the connection has been lost
 */
export function backoffMs(attempt, random, outageMs = Infinity) {
  const max = outageMs < BACKOFF_YOUNG_MS ? BACKOFF_MAX_WHILE_YOUNG_MS : BACKOFF_MAX_MS;
  const ceiling = Math.min(max, BACKOFF_MIN_MS * 2 ** (attempt + 1));
  return Math.round(BACKOFF_MIN_MS + random * (ceiling - BACKOFF_MIN_MS));
}
