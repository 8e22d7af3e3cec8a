import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, count, duration, milliseconds, percent, rate } from "../../realtime/static/realtime/dashboard-format.js";
import { sparklinePaths } from "../../realtime/static/realtime/dashboard-sparkline.js";
import { statusOf } from "../../realtime/static/realtime/dashboard-status.js";

const NOW = { connection: { name: "online" }, isPaused: false, lastPushMs: 10_000, intervalS: 2, nowMs: 11_000 };

test("figures a moment old are live", () => {
  assert.deepEqual(statusOf(NOW), { name: "live", text: "Live", isOld: false });
});

test("three intervals without figures are stale", () => {
  assert.equal(statusOf({ ...NOW, nowMs: 16_000 }).name, "live");
  assert.deepEqual(statusOf({ ...NOW, nowMs: 17_000 }), {
    name: "stale",
    text: "Stale, figures are 7 s old",
    isOld: true,
  });
});

test("a pause says how old the figures are", () => {
  assert.equal(statusOf({ ...NOW, isPaused: true }).text, "Paused, figures are 1 s old");
});

test("without a connection the next try is named", () => {
  const connection = { name: "waiting", retryAtMs: 14_000 };
  assert.equal(statusOf({ ...NOW, connection }).text, "No connection, next try in 3 s, figures are 1 s old");
});

test("before the first figures nothing is old", () => {
  assert.deepEqual(statusOf({ ...NOW, lastPushMs: null }), { name: "waiting", text: "Connecting", isOld: false });
});

test("an end for good gives its reason", () => {
  const connection = { name: "stopped", code: 4403, reason: "staff only" };
  assert.equal(statusOf({ ...NOW, connection, lastPushMs: null }).text, "Ended: staff only");
});

test("a line ends at the right edge and breaks at gaps", () => {
  const { line, area, peak } = sparklinePaths([...Array(28).fill(null), 0, 10, null, 5].slice(1));
  assert.equal(peak, 10);
  assert.equal(line, "M270 48L280 0M300 24");
  assert.equal(area, "M270 48L270 48L280 0L280 48ZM300 48L300 24L300 48Z");
});

test("few values stand at the right edge, many fill the width", () => {
  assert.match(sparklinePaths([1]).line, /^M300 /);
  assert.match(sparklinePaths(Array(150).fill(1)).line, /^M0 .* /);
});

test("a chart of nothing stays at the bottom", () => {
  assert.equal(sparklinePaths([0, 0]).line, "M289.66 48L300 48");
  assert.equal(sparklinePaths([]).line, "");
});

test("numbers in few characters", () => {
  assert.equal(rate(0), "0");
  assert.equal(rate(0.25), "0.3");
  assert.equal(rate(1234.5), count(1235));
  assert.equal(bytes(0), "0 B");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(512 * 1024), "512 KiB");
  assert.equal(milliseconds(0.25), "0.3 ms");
  assert.deepEqual([percent(0), percent(0.0123), percent(0.5)], ["0 %", "1.2 %", "50 %"]);
  assert.equal(duration(0), "0 s");
  assert.equal(duration(59), "59 s");
  assert.equal(duration(3600), "1 h");
  assert.equal(duration(93_784), "1 d 2 h");
});
