import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { RealtimeClient, RealtimeError } from "../../clients/js/src/index.js";
import { stream } from "../../clients/js/src/stream.js";
import { FakeSocket, settled } from "./fake-socket.js";

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

function connected({ isWelcomed = true, ...options } = {}) {
  const sockets = [];
  const client = new RealtimeClient("/ws/x/", {
    random: () => 0,
    createSocket: () => {
      sockets.push(new FakeSocket());
      return sockets.at(-1);
    },
    ...options,
  });
  client.start();
  if (isWelcomed) sockets[0].welcome();
  return { client, sockets, last: () => sockets.at(-1) };
}

const publication = (offset, more = {}) => ({ topic: "t", offset, data: offset, publisher: null, time: "", ...more });
const subscribed = (more = {}) => ({ topic: "t", epoch: "e", offset: 0, recovered: null, publications: [], ...more });

async function answer(socket, more) {
  socket.reply("subscribe", "subscribed", subscribed(more));
  await settled();
}

function listener(options = {}) {
  const heard = [];
  const recovered = [];
  return { heard, recovered, options: { ...options, onPublication: (each) => heard.push(each.offset), onRecovered: (each) => recovered.push(each) } };
}

// ---- since

test("with the position of the page's data nothing is missed before the first connection", async () => {
  const { client, last } = connected();
  const page = listener({ since: { epoch: "e", offset: 3 } });
  client.subscribe("t", page.options);
  assert.deepEqual(last().requests("subscribe")[0].payload, { topic: "t", recover: { epoch: "e", offset: 3 } });
  last().push("publication", publication(6));
  await answer(last(), { offset: 5, recovered: true, publications: [publication(4), publication(5)] });
  assert.deepEqual([page.heard, page.recovered], [[4, 5, 6], [true]]);
});

test("a position that is too old says so: the page loads again", async () => {
  const { client, last } = connected();
  const page = listener({ since: { epoch: "old", offset: 3 } });
  client.subscribe("t", page.options);
  await answer(last(), { offset: 9, recovered: false });
  last().push("publication", publication(10));
  assert.deepEqual([page.heard, page.recovered], [[10], [false]]);
});

// ---- several listeners

test("several listeners share a subscription, each with everything from its own start", async () => {
  const { client, last } = connected();
  const [first, second] = [listener(), listener()];
  const stopFirst = client.subscribe("t", first.options);
  await answer(last(), { offset: 2 });
  last().push("publication", publication(3));
  const stopSecond = client.subscribe("t", second.options);
  assert.deepEqual(last().requests("subscribe")[1].payload, { topic: "t", recover: { epoch: "e", offset: 3 } });
  last().push("publication", publication(4));
  await answer(last(), { offset: 4, recovered: true, publications: [publication(4)] });
  last().push("publication", publication(5));
  assert.deepEqual([first.heard, second.heard], [[3, 4, 5], [5]]);
  stopFirst();
  last().push("publication", publication(6));
  assert.equal(last().requests("unsubscribe").length, 0);
  stopSecond();
  assert.equal(last().requests("unsubscribe").length, 1);
  assert.deepEqual([first.heard, second.heard], [[3, 4, 5], [5, 6]]);
});

test("a listener with an older position is given what it lacks, the others nothing twice", async () => {
  const { client, last } = connected();
  const [first, second] = [listener(), listener({ since: { epoch: "e", offset: 1 } })];
  client.subscribe("t", first.options);
  await answer(last(), { offset: 3 });
  client.subscribe("t", second.options);
  assert.deepEqual(last().requests("subscribe")[1].payload.recover, { epoch: "e", offset: 1 });
  await answer(last(), { offset: 4, recovered: true, publications: [2, 3, 4].map((each) => publication(each)) });
  assert.deepEqual([first.heard, second.heard, second.recovered], [[4], [2, 3, 4], [true]]);
});

test("a listener whose position is too old does not cost the others theirs", async () => {
  const { client, last } = connected();
  const [first, second, third] = [listener(), listener({ since: { epoch: "e", offset: 1 } }), listener({ since: { epoch: "x", offset: 9 } })];
  client.subscribe("t", first.options);
  await answer(last(), { offset: 3 });
  client.subscribe("t", second.options);
  client.subscribe("t", third.options);
  await answer(last(), { offset: 4, recovered: false });
  assert.deepEqual(last().requests("subscribe").at(-1).payload.recover, { epoch: "e", offset: 3 });
  await answer(last(), { offset: 4, recovered: true, publications: [publication(4)] });
  assert.deepEqual([first.heard, first.recovered], [[4], [true]]);
  assert.deepEqual([second.heard, second.recovered.at(0)], [[], false]);
  assert.deepEqual([third.heard, third.recovered.at(0)], [[], false]);
  last().push("publication", publication(5));
  assert.deepEqual([first.heard, second.heard, third.heard], [[4, 5], [5], [5]]);
});

test("a listener that comes while the subscription begins is not told of a loss: it has the next request", async () => {
  const { client, last } = connected();
  const [first, second] = [listener(), listener({ since: { epoch: "e", offset: 1 } })];
  client.subscribe("t", first.options);
  client.subscribe("t", second.options);
  await answer(last(), { offset: 3 });
  last().push("publication", publication(4));
  assert.deepEqual(second.recovered, []);
  assert.deepEqual(last().requests("subscribe")[1].payload.recover, { epoch: "e", offset: 1 });
  await answer(last(), { offset: 4, recovered: true, publications: [2, 3, 4].map((each) => publication(each)) });
  assert.deepEqual([first.heard, second.heard, second.recovered], [[4], [2, 3, 4], [true]]);
});

test("what is missing among what came during the subscription is asked for at once", async () => {
  const { client, last } = connected();
  const page = listener();
  client.subscribe("t", page.options);
  last().push("publication", publication(7));
  await answer(last(), { offset: 5 });
  assert.deepEqual(last().requests("subscribe").at(-1).payload.recover, { epoch: "e", offset: 5 });
  await answer(last(), { offset: 7, recovered: true, publications: [publication(6), publication(7)] });
  assert.deepEqual(page.heard, [6, 7]);
});

test("a flood during the subscription is bounded in memory and lost to nobody", async () => {
  const { client, last } = connected();
  const page = listener();
  client.subscribe("t", page.options);
  for (let offset = 1; offset <= 1_500; offset += 1) last().push("publication", publication(offset));
  await answer(last(), { offset: 0 });
  assert.equal(page.heard.length, 1_000);
  assert.deepEqual(last().requests("subscribe").at(-1).payload.recover, { epoch: "e", offset: 1_000 });
});

test("a listener of a topic without history loses nothing when another one comes", async () => {
  const { client, last } = connected();
  const loose = listener({ recover: false });
  client.subscribe("t", loose.options);
  await answer(last(), { offset: 5 });
  client.subscribe("t", { recover: false });
  last().push("publication", publication(6));
  await answer(last(), { offset: 6 });
  last().push("publication", publication(7));
  assert.deepEqual(loose.heard, [6, 7]);
});

test("presence is on while a listener wants it; an end is told to every listener", async () => {
  const { client, last } = connected();
  const told = [];
  const presence = [];
  client.subscribe("t", { onEnded: (error) => told.push(error.code) });
  await answer(last());
  const stop = client.subscribe("t", { presence: true, onPresence: (each) => presence.push(each), onEnded: () => told.push("second") });
  await answer(last(), { recovered: true });
  last().push("presence", { topic: "t", joined: [1] });
  stop();
  assert.deepEqual(last().requests("subscribe").map((each) => each.payload.presence), [undefined, true, false]);
  assert.deepEqual(presence, [{ joined: [1], left: [], count: undefined }]);
  await answer(last(), { recovered: true });
  client.subscribe("t", { onEnded: () => told.push("third") });
  await answer(last(), { recovered: true });
  last().push("unsubscribed", { topic: "t", code: "permission_denied", reason: "" });
  assert.deepEqual(told, ["permission_denied", "third"]);
});

// ---- ready, queue, errors

test("ready waits for the first welcome, over failures, and rejects when the client stops", async () => {
  const { client, last } = connected({ isWelcomed: false });
  let isReady = false;
  const ready = client.ready().then(() => (isReady = true));
  last().end(1006);
  mock.timers.tick(20_000);
  await settled();
  assert.equal(isReady, false);
  last().welcome();
  await ready;
  await client.ready();
  last().end(1012);
  const lost = client.ready();
  mock.timers.tick(20_000);
  last().end(4403, "not yours");
  await assert.rejects(lost, { code: "disconnected", retryable: false, message: "not yours", details: { close_code: 4403, reason: "not yours" } });
  await assert.rejects(client.ready(), { code: "disconnected" });
  await assert.rejects(client.request("a"), RealtimeError);
});

test("with a queue requests wait for the connection, in order, after the subscriptions", async () => {
  const { client, last } = connected({ isWelcomed: false, queueMax: 3 });
  client.subscribe("t");
  const replies = [client.request("a"), client.request("b", { n: 1 })];
  last().end(1006);
  mock.timers.tick(5_000);
  replies.push(client.request("c"));
  await assert.rejects(client.request("d"), { code: "disconnected", retryable: true });
  last().welcome();
  assert.deepEqual(last().sent.map((each) => each.type), ["subscribe", "a", "b", "c"]);
  for (const type of ["c", "a", "b"]) last().reply(type, `${type}.done`, {});
  assert.deepEqual((await Promise.all(replies)).map((each) => each.type), ["a.done", "b.done", "c.done"]);
});

test("a request that waits in the queue times out, and is not sent then; what was sent is not sent twice", async () => {
  const { client, last } = connected({ queueMax: 3 });
  const sent = client.request("sent");
  last().end(1006);
  await assert.rejects(sent, { code: "disconnected" });
  const late = client.request("late", {}, { timeoutMs: 100 });
  const kept = client.request("kept");
  mock.timers.tick(1_000);
  await assert.rejects(late, { code: "timeout" });
  last().welcome();
  assert.deepEqual(last().sent.map((each) => each.type), ["kept"]);
  client.stop();
  await assert.rejects(kept, { code: "disconnected" });
});

test("a client that stops rejects what waits in its queue", async () => {
  const { client } = connected({ isWelcomed: false, queueMax: 3 });
  const waiting = client.request("a");
  client.stop();
  await assert.rejects(waiting, { code: "disconnected" });
});

test("errors of the server keep their code, details and wait", async () => {
  const { client, last } = connected();
  const refused = client.request("a");
  last().reply("a", "error", { code: "rate_limited", message: "Slow down.", retryable: true, retry_after_ms: 250, details: { field: "payload.x" } });
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof RealtimeError);
    assert.deepEqual({ ...error, message: error.message }, {
      name: "RealtimeError", code: "rate_limited", message: "Slow down.", retryable: true, retryAfterMs: 250, details: { field: "payload.x" },
    });
    return true;
  });
});

// ---- streams

function iterated(client, ...options) {
  const values = [];
  const done = (async () => {
    for await (const { value } of stream(client, ...options)) {
      values.push(value);
      if (value === "last") return;
    }
  })();
  return { values, done };
}

const data = (name, value) => ({ type: "data", payload: { stream: name, source: "c", timestamp: 0, value } });

test("the values of a stream are iterated over to its end, also those that come with the reply", async () => {
  const { client, last } = connected();
  last().protocol = "rockstar.v1.batch";
  const { values, done } = iterated(client, "c", { interval: 0.5 });
  await settled();
  const [{ id, payload }] = last().requests("start");
  assert.deepEqual(payload, { source: "c", interval: 0.5 });
  last().lines({ id, type: "started", payload: { stream: "s2" } }, data("s1", "other"), data("s2", 1));
  await settled();
  assert.deepEqual(values, [1]);
  last().lines(data("s2", 2), data("s2", 3), { type: "stopped", payload: { stream: "s1" } }, { type: "stopped", payload: { stream: "s2" } });
  await done;
  assert.deepEqual(values, [1, 2, 3]);
  assert.equal(last().requests("stop").length, 0);
});

test("a stream that ends with its first reply ends the loop", async () => {
  const { client, last } = connected();
  last().protocol = "rockstar.v1.batch";
  const { values, done } = iterated(client, "c");
  await settled();
  const [{ id }] = last().requests("start");
  last().lines({ id, type: "started", payload: { stream: "s1" } }, { type: "stopped", payload: { stream: "s1" } });
  await done;
  assert.deepEqual(values, []);
});

test("leaving the loop stops the stream; a failure is thrown after the values before it", async () => {
  const left = connected();
  const leaving = iterated(left.client, "c");
  await settled();
  left.last().reply("start", "started", { stream: "s1" });
  left.last().push("data", data("s1", "last").payload);
  await leaving.done;
  assert.deepEqual(left.last().requests("stop")[0].payload, { stream: "s1" });

  const failed = connected();
  const failing = iterated(failed.client, "c");
  await settled();
  failed.last().reply("start", "started", { stream: "s1" });
  failed.last().push("data", data("s1", 1).payload);
  failed.last().push("error", { code: "internal", message: "It failed.", retryable: true, details: { stream: "s1" } });
  await assert.rejects(failing.done, { code: "internal", message: "It failed." });
  assert.deepEqual(failing.values, [1]);
  assert.equal(failed.last().requests("stop").length, 0);
});

test("a stream is started again after a reconnect, and refused with the error of the server", async () => {
  const { client, last } = connected();
  const { values, done } = iterated(client, "c");
  await settled();
  last().reply("start", "started", { stream: "s1" });
  last().push("data", data("s1", 1).payload);
  await settled();
  last().end(1012);
  mock.timers.tick(20_000);
  last().welcome();
  await settled();
  last().reply("start", "started", { stream: "s1" });
  last().push("data", data("s1", 2).payload);
  await settled();
  assert.deepEqual(values, [1, 2]);
  last().end(1012);
  mock.timers.tick(20_000);
  last().welcome();
  await settled();
  last().reply("start", "error", { code: "limit_exceeded", message: "", retryable: true });
  await assert.rejects(done, { code: "limit_exceeded" });
});

test("a slow reader of a stream keeps the newest values", async () => {
  const { client, last } = connected();
  const values = stream(client, "c");
  const first = values.next();
  await settled();
  last().reply("start", "started", { stream: "s1" });
  for (let n = 0; n < 150; n += 1) last().push("data", data("s1", n).payload);
  assert.equal((await first).value.value, 50);
  await values.return();
});

test("a client that stops ends its streams with an error", async () => {
  const { client, last } = connected();
  const { done } = iterated(client, "c");
  await settled();
  last().reply("start", "started", { stream: "s1" });
  await settled();
  client.stop();
  await assert.rejects(done, { code: "disconnected" });
});

test("a path becomes the address of the page's host", () => {
  globalThis.location = { href: "https://shop.example/orders/?x=1" };
  try {
    const urls = [];
    for (const url of ["/ws/x/", "wss://other.example/ws/", "http://plain.example/ws/"]) {
      new RealtimeClient(url, { createSocket: (to) => urls.push(to) && new FakeSocket() }).start();
    }
    assert.deepEqual(urls, ["wss://shop.example/ws/x/", "wss://other.example/ws/", "ws://plain.example/ws/"]);
  } finally {
    delete globalThis.location;
  }
});
