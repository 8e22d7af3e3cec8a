import assert from "node:assert/strict";
import { test } from "node:test";

import { afterError, changed, isRefusedIn, nextToSend, textToSend, TRIES_MAX, waitingCount, withLeft, withMessage, without } from "../../chat/static/chat/lib/outbox.js";

const typed = (id, room_id = 1) => ({ client_msg_id: id, room_id, text: id, created_at: `2026-01-01T00:00:${String(id.charCodeAt(0) - 97).padStart(2, "0")}Z` });
const outbox = () => ["a", "b", "c"].reduce((all, id) => withMessage(all, typed(id)), []);
const ids = (entries) => entries.map((entry) => entry.client_msg_id);

test("messages of a room are sent in order, one at a time", () => {
  assert.deepEqual(ids(nextToSend(outbox())), ["a"]);
  assert.deepEqual(nextToSend(changed(outbox(), "a", { state: "sending" })), []);
  assert.deepEqual(ids(nextToSend(without(outbox(), "a"))), ["b"]);
});

test("each room is a queue of its own, and one that waits holds up no other", () => {
  const two = withMessage(outbox(), typed("d", 2));
  assert.deepEqual(ids(nextToSend(two)), ["a", "d"]);
  assert.deepEqual(ids(nextToSend(changed(two, "a", { state: "sending" }))), ["d"]);
  assert.deepEqual(ids(nextToSend(two, new Set([1]))), ["d"]);
  const many = Array.from({ length: 10 }, (_, n) => n).reduce((all, n) => withMessage(all, typed(`x${n}`, n)), []);
  assert.equal(nextToSend(many).length, 4);
});

test("one that is refused does not hold up the others, nor count as waiting", () => {
  const refused = changed(outbox(), "a", { state: "failed", error: "No." });
  assert.deepEqual(ids(nextToSend(refused)), ["b"]);
  assert.equal(waitingCount(refused), 2);
  assert.deepEqual([isRefusedIn(refused, 1), isRefusedIn(refused, 2), isRefusedIn(outbox(), 1)], [true, false, false]);
});

test("retries end, but not because there are many messages", () => {
  const error = (code, retryAfterMs = 0) => ({ code, message: "m", retryable: true, retryAfterMs });
  let [entry] = outbox();
  const delays = [];
  for (let n = 1; n < TRIES_MAX; n += 1) {
    const { change, delayMs } = afterError(entry, error("timeout"));
    entry = { ...entry, ...change };
    delays.push(delayMs);
  }
  assert.deepEqual([delays, entry.state], [[2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000], "waiting"]);
  assert.deepEqual(afterError({ ...entry, tries: 0 }, error("disconnected")), { change: { state: "waiting", tries: 1 }, delayMs: 0 });
  assert.equal(afterError(entry, error("disconnected")).change.state, "failed");
  assert.deepEqual(afterError(entry, error("rate_limited", 9_000)), { change: { state: "waiting" }, delayMs: 9_000 });
  assert.deepEqual(afterError(entry, error("timeout")).change, { state: "failed", error: "m", tries: 0 });
  assert.equal(afterError(entry, { ...error("permission_denied"), retryable: false }).change.state, "failed");
});

test("what closed tabs left comes before what is new, once, and is sent again under the same ids", () => {
  const left = changed(outbox(), "a", { state: "sending" });
  const all = withLeft(withMessage([], typed("d")), left);
  assert.deepEqual(all.map((each) => [each.client_msg_id, each.state]), [["a", "waiting"], ["b", "waiting"], ["c", "waiting"], ["d", "waiting"]]);
  assert.deepEqual(ids(withLeft(all, left)), ["a", "b", "c", "d"]);
});

test("half a character is no reason to refuse a message, and indentation is part of it", () => {
  assert.equal(textToSend("x \ud83d"), "x \ufffd");
  assert.equal(textToSend("\udc00a\ud83d\ude00"), "\ufffda\ud83d\ude00");
  assert.equal(textToSend("\n  \n    if x:\n        y\n \n"), "    if x:\n        y");
});
