/** Pushes may be this many intervals late before the metrics count as old. */
const STALE_INTERVALS = 3;

/**
 * The status that the page shows. `name` selects the colour, `text` is the text, and `isOld` dims the
 * metrics.
 *
 * @typedef {{name: "live" | "waiting" | "paused" | "stale" | "ended", text: string, isOld: boolean}} Status
 *
 * @param {object} now
 * @param {import("./client.js").State} now.connection
 * @param {boolean} now.isPaused
 * @param {number | null} now.lastPushMs when the last metrics arrived, or null
 * @param {number} now.intervalS
 * @param {number} now.nowMs
 * @returns {Status}
 */
export function statusOf({ connection, isPaused, lastPushMs, intervalS, nowMs }) {
  const age = lastPushMs === null ? "" : `, figures are ${seconds(nowMs - lastPushMs)} old`;
  if (connection.name === "stopped" && connection.code !== undefined) {
    return { name: "ended", text: `Ended: ${connection.reason || `code ${connection.code}`}${age}`, isOld: true };
  }
  if (isPaused) return { name: "paused", text: `Paused${age}`, isOld: true };
  if (connection.name === "waiting" || connection.name === "offline") {
    const wait = seconds(Math.max((connection.retryAtMs ?? nowMs) - nowMs, 0));
    return { name: "stale", text: `No connection, next try in ${wait}${age}`, isOld: true };
  }
  if (lastPushMs === null || connection.name !== "online") {
    return { name: "waiting", text: `Connecting${age}`, isOld: lastPushMs !== null };
  }
  if (nowMs - lastPushMs > STALE_INTERVALS * intervalS * 1000) {
    return { name: "stale", text: `Stale${age}`, isOld: true };
  }
  return { name: "live", text: "Live", isOld: false };
}

/** @param {number} ms */
function seconds(ms) {
  return `${Math.round(ms / 1000)} s`;
}
