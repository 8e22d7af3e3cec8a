import assert from "node:assert/strict";
import { test } from "node:test";

import { newest, trimmed, WINDOW_ROWS, withLive, withNewer, withOlder } from "../../chat/static/chat/lib/timeline.js";

const message = (seq, author = 1) => ({
  id: seq, room_id: 1, seq, author: { id: author, username: `u${author}` }, text: `m${seq}`,
  sent_at: new Date(Date.UTC(2026, 0, 5, 12, 0, seq)).toISOString(), client_msg_id: `c${seq}`,
});
const page = (from, to, has_more = false) => ({
  messages: Array.from({ length: to - from + 1 }, (_, index) => message(from + index)), has_more,
});
const seqs = (timeline) => timeline.messages.map((each) => each.seq);

test("live messages are appended once; a hole asks for the page between", () => {
  const timeline = newest(page(1, 3));
  assert.deepEqual(seqs(withLive(timeline, message(4)).timeline), [1, 2, 3, 4]);
  assert.equal(withLive(timeline, message(3)).timeline, timeline);
  assert.deepEqual(withLive(timeline, message(6)), { timeline, isBehind: true });
  assert.deepEqual(seqs(withLive(newest({ messages: [], has_more: false }), message(1)).timeline), [1]);
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
