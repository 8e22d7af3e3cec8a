import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { settled } from "./fake-socket.js";
import { NO_STORAGE } from "./no-storage.js";

const { Sender } = await import("../../chat/static/chat/state/sender.js");

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

/** A sender whose requests are answered by `answer`. */
function sender(answer) {
  const client = { state: { name: "online" }, sent: [] };
  client.request = async (type, payload) => {
    client.sent.push(payload.text);
    return answer(payload);
  };
  const made = new Sender({ client, storage: NO_STORAGE, loadFiles: null, onSent: () => {} });
  return { made, client, states: () => made.outbox.value.map((entry) => [entry.text, entry.state]) };
}

function refused() {
  throw { code: "internal", message: "Something failed.", retryable: true, retryAfterMs: 0 };
}

const taken = (payload) => ({ payload: { message: payload } });

test("a message that the server never takes holds up its own room only, and ends as the writer's to decide", async () => {
  const { made, client, states } = sender((payload) => (payload.room_id === 1 ? refused() : taken(payload)));
  made.send(1, "stuck");
  made.send(1, "behind it");
  made.send(2, "elsewhere");
  await settled();
  assert.deepEqual(states(), [["stuck", "waiting"], ["behind it", "waiting"]]);
  for (let n = 0; n < 40; n += 1) {
    mock.timers.tick(10_000);
    await settled();
  }
  assert.deepEqual(states(), [["stuck", "failed"], ["behind it", "failed"]]);
  const count = client.sent.length;
  mock.timers.tick(600_000);
  assert.equal(client.sent.length, count);
});

test("after a reconnect no room waits for its next try", async () => {
  let isBack = false;
  const { made, states } = sender((payload) => (isBack ? taken(payload) : refused()));
  made.send(1, "a");
  await settled();
  isBack = true;
  made.flushAll();
  await settled();
  assert.deepEqual(states(), []);
});

test("what is sent and typed while the storage is read stays as it is then", async () => {
  const { made, client, states } = sender(taken);
  client.state.name = "waiting";
  made.send(1, "before");
  let found = () => {};
  made.storage = { ...NO_STORAGE, adoptEntries: () => new Promise((resolve) => (found = resolve)) };
  const adopted = made.adopt();
  client.state.name = "online";
  made.flush();
  await settled();
  client.state.name = "waiting";
  made.send(1, "meanwhile");
  found([]);
  await adopted;
  assert.deepEqual(states(), [["meanwhile", "waiting"]]);
});

test("more than the outbox holds stays where it was typed", () => {
  const { made, client } = sender(taken);
  client.state.name = "waiting";
  for (let n = 0; n < 500; n += 1) assert.equal(made.send(1, "x"), true);
  assert.equal(made.send(1, "x"), false);
});

test("messages stay in order, also in one millisecond and when the clock is set back", async () => {
  const { made, client } = sender(taken);
  client.state.name = "waiting";
  mock.timers.setTime(3_600_000);
  made.send(1, "a");
  made.send(1, "b");
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  made.send(1, "c");
  const later = sender(taken);
  // The browser returns them by their random ids.
  later.made.storage = { ...NO_STORAGE, adoptEntries: async () => [...made.outbox.value].reverse() };
  await later.made.adopt();
  await settled();
  assert.deepEqual(later.client.sent, ["a", "b", "c"]);
});
