import { _ } from "./texts.js";

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
  const age = lastPushMs === null ? "" : _(", figures are {age} old", { age: seconds(nowMs - lastPushMs) });
  if (connection.name === "stopped" && connection.code !== undefined) {
    return { name: "ended", text: _("Ended: {reason}", { reason: connection.reason || _("code {code}", { code: connection.code }) }) + age, isOld: true };
  }
  if (isPaused) return { name: "paused", text: _("Paused") + age, isOld: true };
  if (connection.name === "waiting" || connection.name === "offline") {
    const wait = seconds(Math.max((connection.retryAtMs ?? nowMs) - nowMs, 0));
    return { name: "stale", text: _("No connection, next try in {wait}", { wait }) + age, isOld: true };
  }
  if (lastPushMs === null || connection.name !== "online") {
    return { name: "waiting", text: _("Connecting") + age, isOld: lastPushMs !== null };
  }
  if (nowMs - lastPushMs > STALE_INTERVALS * intervalS * 1000) {
    return { name: "stale", text: _("Stale") + age, isOld: true };
  }
  return { name: "live", text: _("Live"), isOld: false };
}

/** @param {number} ms */
function seconds(ms) {
  return `${Math.round(ms / 1000)} s`;
}
