import assert from "node:assert/strict";
import { test } from "node:test";

import { markUnread, mayDelete, pin } from "../../chat/static/chat/state/message-actions.js";

const message = { id: 42, room_id: 1, seq: 7, deleted: false, author: { id: 2 } };

/** What the actions need of a chat. @param {{reply?: any, rank?: number}} given reply: null is a failure */
function chat({ reply = {}, rank = 1 } = {}) {
  const done = [];
  const room = { unread: (seq) => done.push(["unread", seq]), pinned: (about, isPinned) => done.push(["pinned", about.seq, isPinned]) };
  const store = {
    me: { id: 1 },
    stores: { value: new Map([[1, room]]) },
    rank: () => rank,
    announce: (text) => done.push(text),
    client: { request: async (type, payload) => (done.push([type, payload]), { payload: reply ?? (await Promise.reject(new Error("No."))) }) },
    try: (asked) => asked.then(() => true, ({ message }) => (done.push(message), false)),
    actions: { change: async (type) => (done.push([type]), reply ?? Promise.reject(new Error("No."))) },
  };
  return { store, done };
}

test("messages are unread from where the server says, or the reader is told why not", async () => {
  const { store, done } = chat({ reply: { seq: 6 } });
  await markUnread(store, message);
  assert.deepEqual(done, [["read", { room_id: 1, seq: 6, is_unread: true }], ["unread", 6]]);
  const refused = chat({ reply: null });
  await markUnread(refused.store, message);
  assert.deepEqual(refused.done.slice(1), ["No."]);
});

test("a message is pinned and unpinned, if the server does it", async () => {
  const { store, done } = chat();
  await pin(store, message, true);
  await pin(store, message, false);
  assert.deepEqual(done, [["pin.add"], ["pinned", 7, true], "Pinned", ["pin.remove"], ["pinned", 7, false], "Unpinned"]);
  const refused = chat({ reply: null });
  await pin(refused.store, message, true);
  assert.deepEqual(refused.done, [["pin.add"], "No."]);
});

test("authors and moderators are offered to delete a message", () => {
  assert.deepEqual([1, 2].map((rank) => mayDelete(chat({ rank }).store, message)), [false, true]);
  assert.equal(mayDelete(chat().store, { ...message, author: { id: 1 } }), true);
  assert.equal(mayDelete(chat({ rank: 2 }).store, { ...message, deleted: true }), false);
});
