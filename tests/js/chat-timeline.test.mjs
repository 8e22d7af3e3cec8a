import assert from "node:assert/strict";
import { test } from "node:test";

import { reaches, timelineOf, trimmed, WINDOW_ROWS, withCaughtUp, withChanged, withLive as live, withNewer, withOlder } from "../../chat/static/chat/lib/timeline.js";

const message = (seq, author = 1) => ({
  id: seq, room_id: 1, seq, rev: seq, reply_to: null, author: { id: author, username: `u${author}` }, text: `m${seq}`,
  sent_at: new Date(Date.UTC(2026, 0, 5, 12, 0, seq)).toISOString(), client_msg_id: `c${seq}`,
});
const page = (from, to, has_more = false) => ({
  messages: Array.from({ length: to - from + 1 }, (_, index) => message(from + index)), has_older: has_more, has_newer: has_more, last_rev: to,
});
const newest = (first) => ({ ...timelineOf(first), hasNewer: false });
const withLive = (timeline, next, reader = { isAtEnd: true }) => live(timeline, next, reader);
const seqs = (timeline) => timeline.messages.map((each) => each.seq);

test("live messages are appended once; a hole asks for the page between", () => {
  const timeline = newest(page(1, 3));
  assert.deepEqual(seqs(withLive(timeline, message(4)).timeline), [1, 2, 3, 4]);
  assert.equal(withLive(timeline, message(3)).timeline, timeline);
  assert.deepEqual(withLive(timeline, message(6)), { timeline, isBehind: true });
  assert.deepEqual(seqs(withLive(newest({ messages: [] }), message(1)).timeline), [1]);
});

test("away from the newest, live messages wait to be loaded", () => {
  const timeline = { ...newest(page(1, 3)), hasNewer: true };
  assert.deepEqual(withLive(timeline, message(4)), { timeline, isBehind: false });
});

test("pages join without repeating what is there", () => {
  const timeline = newest(page(5, 8, true));
  const older = withOlder(timeline, page(2, 6, true));
  assert.deepEqual(seqs(older), [2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual([older.hasOlder, older.hasNewer], [true, false]);
  const newer = withNewer(older, page(8, 9));
  assert.deepEqual(seqs(newer), [2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(newer.hasNewer, false);
});

test("the window keeps its size and knows what it dropped", () => {
  let timeline = newest(page(901, 1000, true));
  for (let first = 801; first > 300; first -= 100) timeline = withOlder(timeline, page(first, first + 99, true));
  assert.equal(timeline.messages.length, WINDOW_ROWS);
  assert.equal(timeline.hasNewer, true);
  assert.equal(seqs(timeline)[0], 301);
  timeline = withNewer(timeline, page(701, 800, true));
  assert.deepEqual([seqs(timeline)[0], seqs(timeline).at(-1), timeline.hasOlder, timeline.hasNewer], [401, 800, true, true]);
  const long = trimmed(newest(page(1, WINDOW_ROWS + 1)));
  assert.deepEqual([seqs(long)[0], long.hasOlder], [2, true]);
});

test("whatever order live messages, repeats and catching up come in, there are no holes and no repeats", () => {
  for (let round = 0; round < 200; round += 1) {
    let timeline = newest(page(1, 1));
    let top = 1;
    for (let step = 0; step < 50; step += 1) {
      top += Number(Math.random() < 0.6);
      const seq = Math.random() < 0.8 ? top : 1 + Math.floor(Math.random() * top);
      const live = withLive(timeline, message(seq));
      timeline = live.isBehind ? withNewer(timeline, page(timeline.messages.length + 1, top)) : live.timeline;
    }
    assert.deepEqual(seqs(timeline), seqs(timeline).map((_, index) => index + 1));
  }
});

test("while older messages are read, the window neither grows nor moves", () => {
  let timeline = newest(page(1, WINDOW_ROWS));
  timeline = withLive(timeline, message(WINDOW_ROWS + 1), { isAtEnd: false }).timeline;
  assert.deepEqual([timeline.messages.length, timeline.hasNewer, seqs(timeline)[0]], [WINDOW_ROWS, true, 1]);
  const following = withLive(newest(page(1, WINDOW_ROWS)), message(WINDOW_ROWS + 1)).timeline;
  assert.deepEqual([following.messages.length, following.hasOlder, seqs(following)[0]], [300, true, WINDOW_ROWS - 298]);
});

test("a timeline reaches what it holds, and what comes next to it", () => {
  const timeline = { ...newest(page(5, 8)), hasOlder: true, hasNewer: false };
  assert.deepEqual([4, 5, 8, 9].map((seq) => reaches(timeline, seq)), [false, true, true, true]);
  assert.deepEqual([4, 9].map((seq) => reaches({ ...timeline, hasOlder: false, hasNewer: true }, seq)), [true, false]);
});

test("an older state of a message changes nothing, whatever order changes come in", () => {
  const timeline = newest(page(1, 3));
  const edit = (rev, text) => ({ ...message(2), rev, text });
  const newer = withChanged(timeline, [edit(9, "second")]);
  assert.equal(withChanged(newer, [edit(8, "first")]), newer);
  assert.equal(newer.messages[1].text, "second");
  assert.equal(withChanged(timeline, [{ ...message(7), rev: 9 }]), timeline);
});

test("a deleted message that is not on the page is deleted in the quotes that are", () => {
  const answer = { ...message(9), reply_to: { seq: 2, author: { id: 1 }, text: "secret", deleted: false } };
  const timeline = { messages: [answer], hasOlder: true, hasNewer: false };
  const after = withChanged(timeline, [{ ...message(2), rev: 10, text: "", deleted: true }]);
  assert.deepEqual([after.messages[0].reply_to.text, after.messages[0].reply_to.deleted], ["", true]);
});

test("catching up takes changes in any order, and tells a hole", () => {
  const timeline = newest(page(1, 3));
  const changes = [message(5), { ...message(1), rev: 7, text: "edited" }, message(4)];
  const { timeline: after, isBehind } = withCaughtUp(timeline, changes);
  assert.deepEqual([seqs(after), after.messages[0].text, isBehind], [[1, 2, 3, 4, 5], "edited", false]);
  assert.equal(withCaughtUp(timeline, [message(6)]).isBehind, true);
});
