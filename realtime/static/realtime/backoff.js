/** Shortest wait before a reconnect. */
export const BACKOFF_MIN_MS = 500;
/** Longest wait before a reconnect. */
export const BACKOFF_MAX_MS = 20_000;

/**
 * How long to wait before reconnecting: full jitter, so that a thousand clients cut off at once come back one by one.
 * The wait lies anywhere between the minimum and twice as much for each failed attempt, never above the maximum.
 * @param {number} attempt failed attempts so far, from 0
 * @param {number} random in [0, 1)
 */
export function backoffMs(attempt, random) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (Math.max(0, attempt) + 1));
  return Math.round(BACKOFF_MIN_MS + random * (ceiling - BACKOFF_MIN_MS));
}
