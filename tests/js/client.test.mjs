import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { RealtimeClient } from "../../clients/js/src/client.js";
import { FakeSocket, settled } from "./fake-socket.js";

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

function connected({ isWelcomed = true } = {}) {
  const sockets = [];
  const offered = [];
  const client = new RealtimeClient("/ws/x/", {
    random: () => 0.5,
    createSocket: (url, protocols) => {
      offered.push([url, protocols]);
      sockets.push(new FakeSocket());
      return sockets.at(-1);
    },
  });
  const states = [];
  client.on("state", (state) => states.push(state.name));
  client.start();
  if (isWelcomed) sockets[0].welcome();
  return { client, sockets, offered, states, last: () => sockets.at(-1) };
}

function publication(offset, data) {
  return { type: "publication", payload: { topic: "t", offset, data, publisher: null, time: "" } };
}

test("offers the subprotocols and is online with the welcome", () => {
  const { client, offered, states, last } = connected({ isWelcomed: false });
  assert.deepEqual(offered, [["/ws/x/", ["rockstar.v1.batch", "rockstar.v1"]]]);
  assert.deepEqual(states, ["connecting"]);
  last().welcome();
  assert.equal(client.state.name, "online");
});

test("requests are answered by id, out of order, and errors reject", async () => {
  const { client, last } = connected();
  const first = client.request("a", { n: 1 });
  const second = client.request("b");
  last().reply("b", "error", { code: "not_found", message: "No.", retryable: false });
  last().reply("a", "a.done", { n: 2 });
  assert.equal((await first).payload.n, 2);
  await assert.rejects(second, { code: "not_found", retryable: false });
});

test("where batches were agreed on, each line of a frame is a message, in order", async () => {
  const { client, last } = connected({ isWelcomed: false });
  last().protocol = "rockstar.v1.batch";
  last().welcome();
  const applied = [];
  client.subscribe("t", { onPublication: ({ offset, data }) => applied.push([offset, data]) });
  const [{ id }] = last().requests("subscribe");
  const payload = { topic: "t", epoch: "e", offset: 0, recovered: null, publications: [] };
  last().lines({ id, type: "subscribed", payload }, publication(1, "one\ntwo"));
  await settled();
  last().lines(publication(2, "three"), publication(3, ""));
  assert.deepEqual(applied, [[1, "one\ntwo"], [2, "three"], [3, ""]]);
});

test("where they were not, a line break is white space", () => {
  const { client, last } = connected();
  const heard = [];
  client.on("news", (payload) => heard.push(payload));
  last().onmessage({ data: '{"type":"news",\n"payload":{"n":1}}' });
  assert.deepEqual(heard, [{ n: 1 }]);
});

test("what follows the message that made the caller stop is not taken", () => {
  const { client, last } = connected();
  last().protocol = "rockstar.v1.batch";
  const heard = [];
  client.on("news", ({ n }) => {
    heard.push(n);
    client.stop();
  });
  last().lines({ type: "news", payload: { n: 1 } }, { type: "news", payload: { n: 2 } });
  assert.deepEqual(heard, [1]);
});

test("a request without an answer times out; one without a connection fails at once", async () => {
  const { client, last } = connected();
  const late = client.request("a", {}, { timeoutMs: 50 });
  mock.timers.tick(50);
  await assert.rejects(late, { code: "timeout", retryable: true });
  const lost = client.request("a");
  last().end(1006);
  await assert.rejects(lost, { code: "disconnected" });
  await assert.rejects(client.request("a"), { code: "disconnected" });
});

test("comes back after the backoff, which grows until a connection has lasted", () => {
  const { client, sockets, last } = connected();
  last().end(1006);
  assert.equal(client.state.name, "waiting");
  assert.equal(client.state.retryAtMs - Date.now(), 750);
  mock.timers.tick(750);
  assert.equal(sockets.length, 2);
  last().end(1006);
  assert.equal(client.state.retryAtMs - Date.now(), 1250);
  mock.timers.tick(1250);
  last().welcome();
  mock.timers.tick(11_000);
  last().end(1006);
  assert.equal(client.state.retryAtMs - Date.now(), 750);
});

test("close codes decide: stop, sign in, back off", () => {
  const stopped = connected();
  stopped.last().end(4403, "not yours");
  assert.deepEqual(stopped.client.state, { name: "stopped", code: 4403, reason: "not yours" });
  const signedOut = connected();
  let told = null;
  signedOut.client.on("unauthenticated", (event) => (told = event));
  signedOut.last().end(4401, "expired");
  assert.equal(told.code, 4401);
  const tooFast = connected();
  tooFast.last().end(4429);
  assert.equal(tooFast.client.state.retryAtMs - Date.now(), 10_250);
  mock.timers.tick(10_250);
  assert.deepEqual([stopped.sockets.length, signedOut.sockets.length, tooFast.sockets.length], [1, 1, 2]);
});

test("silence is answered by a ping, and more silence by a new connection", () => {
  const { client, sockets, last } = connected();
  mock.timers.tick(25_000);
  assert.equal(last().requests("ping").length, 1);
  last().push("pong", {});
  mock.timers.tick(25_000);
  mock.timers.tick(19_999);
  assert.equal(client.state.name, "online");
  mock.timers.tick(1);
  assert.equal(client.state.name, "waiting");
  assert.ok(sockets[0].isClosed);
});

test("after sleep the connection has four seconds to answer", () => {
  const { client, last } = connected();
  client.checkNow();
  assert.equal(last().requests("ping").length, 1);
  mock.timers.tick(4000);
  assert.equal(client.state.name, "waiting");
  client.checkNow();
  assert.equal(client.state.name, "connecting");
});

test("without a network it is offline, tries on, and connects at once when there is one", () => {
  const { client, sockets, states } = connected();
  client.networkLost();
  assert.equal(client.state.name, "offline");
  mock.timers.tick(750);
  assert.equal(sockets.length, 2);
  sockets[1].end(1006);
  assert.equal(client.state.name, "offline");
  client.networkFound();
  sockets[2].welcome();
  assert.deepEqual(states.slice(-2), ["connecting", "online"]);
});

test("a server that never says welcome is given up", () => {
  const { client } = connected({ isWelcomed: false });
  mock.timers.tick(10_000);
  assert.equal(client.state.name, "waiting");
});

test("subscriptions outlive connections and recover what was missed, once", async () => {
  const { client, last } = connected();
  const applied = [];
  const recovered = [];
  const publication = (offset) => ({ topic: "t", offset, data: { offset }, publisher: null, time: "" });
  client.subscribe("t", { onPublication: (each) => applied.push(each.offset), onRecovered: (each) => recovered.push(each) });
  last().reply("subscribe", "subscribed", { topic: "t", epoch: "e", offset: 3, recovered: null, publications: [] });
  await settled();
  last().push("publication", publication(4));
  last().end(1001);
  mock.timers.tick(20_000);
  last().welcome();
  assert.deepEqual(last().requests("subscribe")[0].payload, { topic: "t", recover: { epoch: "e", offset: 4 } });
  last().push("publication", publication(6));
  last().reply("subscribe", "subscribed", {
    topic: "t", epoch: "e", offset: 6, recovered: true, publications: [publication(5), publication(6)],
  });
  await settled();
  assert.deepEqual(applied, [4, 5, 6]);
  assert.deepEqual(recovered, [true]);
});

test("a gap while connected is recovered by subscribing again", async () => {
  const { client, last } = connected();
  client.subscribe("t");
  last().reply("subscribe", "subscribed", { topic: "t", epoch: "e", offset: 3, recovered: null, publications: [] });
  await settled();
  last().push("publication", { topic: "t", offset: 5, data: 1 });
  assert.deepEqual(last().requests("subscribe").at(-1).payload.recover, { epoch: "e", offset: 3 });
});

test("a refused subscription ends, a refusal that passes is tried again", async () => {
  const { client, last } = connected();
  const ended = [];
  client.subscribe("a", { onEnded: (error) => ended.push(error.code) });
  last().reply("subscribe", "error", { code: "rate_limited", message: "", retryable: true, retry_after_ms: 5000 });
  await settled();
  mock.timers.tick(5000);
  assert.equal(last().requests("subscribe").length, 2);
  last().reply("subscribe", "error", { code: "permission_denied", message: "", retryable: false });
  await settled();
  assert.deepEqual(ended, ["permission_denied"]);
  client.subscribe("a");
});

test("unsubscribing stops the topic here and there", async () => {
  const { client, last } = connected();
  const applied = [];
  const stop = client.subscribe("t", { onPublication: (each) => applied.push(each) });
  last().reply("subscribe", "subscribed", { topic: "t", epoch: "e", offset: 0, recovered: null, publications: [] });
  await settled();
  stop();
  stop();
  last().push("publication", { topic: "t", offset: 1, data: 1 });
  assert.deepEqual(applied, []);
  assert.equal(last().requests("unsubscribe").length, 1);
});

test("a topic that is no text is refused at once, and the others go on", async () => {
  const { client, last } = connected();
  for (const topic of [undefined, null, 7]) assert.throws(() => client.subscribe(topic), { name: "TypeError", message: `No topic: ${topic}` });
  client.subscribe("t");
  await settled();
  assert.deepEqual(last().requests("subscribe").map(({ payload }) => payload.topic), ["t"]);
});

const subscribed = (topic, more = {}) => ({ topic, epoch: "e", offset: 0, recovered: null, publications: [], ...more });
const named = (request) => request.payload.topics?.map((each) => each.topic) ?? [request.payload.topic];

/** Answers the last `subscribe`, each topic by `answer`. */
async function answerAll(socket, answer = (item) => subscribed(item.topic)) {
  const { payload } = socket.requests("subscribe").at(-1);
  const topics = payload.topics?.map(answer);
  socket.reply("subscribe", "subscribed", topics ? { topics } : answer(payload));
  await settled();
}

test("a topic subscribed to while connected is asked for at once, those that come meanwhile together", async () => {
  const { client, last } = connected();
  for (let n = 0; n < 10; n += 1) client.subscribe(`t${n}`);
  assert.deepEqual(last().requests("subscribe").map((each) => each.payload), [{ topic: "t0" }]);
  await answerAll(last());
  assert.deepEqual(last().requests("subscribe").length, 2);
  assert.deepEqual(last().requests("subscribe")[1].payload, { topics: Array.from({ length: 9 }, (_, n) => ({ topic: `t${n + 1}` })) });
  await answerAll(last());
  assert.equal(last().requests("subscribe").length, 2);
});

test("after a reconnect all topics are asked for in as few requests as possible, before anything else", async () => {
  const { client, last } = connected({ isWelcomed: false });
  const applied = new Map();
  const recovered = [];
  for (let n = 0; n < 250; n += 1) {
    client.subscribe(`t${n}`, { presence: n === 3, onPublication: ({ topic, offset }) => applied.set(topic, offset), onRecovered: (each) => recovered.push(each) });
  }
  client.on("state", ({ name }) => name === "online" && client.request("room.list").catch(() => {}));
  for (const [epoch, offset] of [["e", 4], ["f", 9]]) {
    last().welcome();
    assert.deepEqual(last().sent.map((each) => each.type), ["subscribe", "room.list"]);
    for (let n = 0; n < 3; n += 1) {
      await answerAll(last(), ({ topic, recover }) => {
        const missed = { topic, offset: 5, data: null, publisher: null, time: "" };
        return subscribed(topic, recover ? { epoch, offset: 5, recovered: true, publications: [missed] } : { epoch, offset });
      });
    }
    const requests = last().requests("subscribe");
    assert.deepEqual(requests.map((each) => named(each).length), [100, 100, 50]);
    assert.deepEqual(requests.flatMap(named), Array.from({ length: 250 }, (_, n) => `t${n}`));
    assert.equal(requests[0].payload.topics[3].presence, true);
    assert.deepEqual(requests[2].payload.topics[0].recover, epoch === "e" ? undefined : { epoch: "e", offset: 4 });
    last().end(1006);
    mock.timers.tick(20_000);
  }
  assert.equal(applied.size, 250);
  assert.deepEqual([...new Set(applied.values())], [5]);
  assert.deepEqual([recovered.length, recovered.every(Boolean)], [250, true]);
});

test("each topic of an answer is judged by itself: one ends, one is asked for again alone", async () => {
  const { client, last } = connected({ isWelcomed: false });
  const ended = [];
  const live = [];
  for (const topic of ["a", "big", "gone", "b", "huge"]) {
    client.subscribe(topic, { onEnded: (error) => ended.push([topic, error.code]), onSubscribed: (reply) => live.push(reply.topic) });
  }
  last().welcome();
  const tooMuch = { code: "limit_exceeded", message: "", retryable: true };
  await answerAll(last(), ({ topic }) => {
    if (topic === "gone") return { topic, error: { code: "permission_denied", message: "", retryable: false } };
    return topic.length > 2 ? { topic, error: tooMuch } : subscribed(topic);
  });
  assert.deepEqual([ended, live], [[["gone", "permission_denied"]], ["a", "b"]]);
  mock.timers.tick(20_000);
  await answerAll(last());
  await answerAll(last());
  assert.deepEqual(last().requests("subscribe").slice(1).map((each) => each.payload), [{ topic: "big" }, { topic: "huge" }]);
  assert.deepEqual(live, ["a", "b", "big", "huge"]);
  // It fits again: the next connection asks for all of them together.
  last().end(1006);
  mock.timers.tick(20_000);
  last().welcome();
  assert.deepEqual(last().requests("subscribe").map(named), [["a", "big", "b", "huge"]]);
});

test("a request that is refused as a whole ends only what is refused alone", async () => {
  const { client, last } = connected({ isWelcomed: false });
  const ended = [];
  for (const topic of ["a", "bad", "b"]) client.subscribe(topic, { onEnded: () => ended.push(topic) });
  last().welcome();
  const refusal = { code: "invalid_message", message: "", retryable: false };
  last().reply("subscribe", "error", refusal);
  await settled();
  await answerAll(last());
  last().reply("subscribe", "error", refusal);
  await settled();
  await answerAll(last());
  assert.deepEqual(last().requests("subscribe").map(named), [["a", "bad", "b"], ["a"], ["bad"], ["b"]]);
  assert.deepEqual(ended, ["bad"]);
});

test("a topic that the answer leaves out, or that is unsubscribed meanwhile, is not taken for live", async () => {
  const { client, last } = connected({ isWelcomed: false });
  const live = [];
  const options = { onSubscribed: (reply) => live.push(reply.topic) };
  client.subscribe("a", options);
  const stop = client.subscribe("b", options);
  client.subscribe("c", options);
  last().welcome();
  stop();
  last().reply("subscribe", "subscribed", { topics: [subscribed("b"), subscribed("c")] });
  await settled();
  mock.timers.tick(20_000);
  await answerAll(last());
  assert.deepEqual([live, named(last().requests("subscribe").at(-1))], [["c", "a"], ["a"]]);
});

test("names that are very long are spread over requests that fit a message", () => {
  const { client, last } = connected({ isWelcomed: false });
  for (let n = 0; n < 100; n += 1) client.subscribe(`${n}${"\u20ac".repeat(250)}`);
  last().welcome();
  const [request] = last().requests("subscribe");
  assert.ok(named(request).length > 50);
  assert.ok(new TextEncoder().encode(JSON.stringify(request)).length < 64 * 1024);
});

test("a connection lost during a request loses no topic and asks for none twice", async () => {
  const { client, last } = connected({ isWelcomed: false });
  for (const topic of ["a", "b"]) client.subscribe(topic);
  last().welcome();
  last().end(1006);
  await settled();
  mock.timers.tick(20_000);
  last().welcome();
  await answerAll(last());
  mock.timers.tick(20_000);
  assert.deepEqual(last().requests("subscribe").map(named), [["a", "b"]]);
});

test("presence is asked for, and ended, without ending the subscription", async () => {
  const { client, last } = connected();
  const heard = [];
  client.subscribe("t", { onPresence: (change) => heard.push(change), onSubscribed: ({ presence }) => presence && heard.push(presence) });
  await answerAll(last());
  client.setPresence("t", true);
  client.setPresence("t", true);
  await answerAll(last(), ({ topic }) => subscribed(topic, { presence: { users: [], count: 3 } }));
  last().push("presence", { topic: "t", joined: [{ id: 1 }], left: [] });
  last().push("presence", { topic: "t", count: 250 });
  client.setPresence("t", false);
  await answerAll(last());
  client.setPresence("other", true);
  const recover = { epoch: "e", offset: 0 };
  assert.deepEqual(last().requests("subscribe").map((each) => each.payload), [
    { topic: "t" }, { topic: "t", presence: true, recover }, { topic: "t", presence: false, recover },
  ]);
  assert.deepEqual(heard, [
    { users: [], count: 3 },
    { joined: [{ id: 1 }], left: [], count: undefined },
    { joined: [], left: [], count: 250 },
  ]);
  assert.equal(last().requests("unsubscribe").length, 0);
});

test("a subscription the server ended is over, but for one whose position it lost", async () => {
  const { client, last } = connected();
  const ended = [];
  const recovered = [];
  const options = { onEnded: (error) => ended.push(error.code), onRecovered: (each) => recovered.push(each) };
  client.subscribe("t", options);
  last().reply("subscribe", "subscribed", { topic: "t", epoch: "e", offset: 3, recovered: null, publications: [] });
  await settled();
  last().push("unsubscribed", { topic: "t", code: "unrecoverable_position", reason: "" });
  last().reply("subscribe", "subscribed", { topic: "t", epoch: "f", offset: 1, recovered: false, publications: [] });
  await settled();
  assert.deepEqual([ended, recovered], [[], [false]]);
  last().push("unsubscribed", { topic: "t", code: "permission_denied", reason: "no longer allowed" });
  assert.deepEqual(ended, ["permission_denied"]);
});

function answer(socket, id, type, payload) {
  socket.onmessage({ data: JSON.stringify({ id, type, payload }) });
}

function rows(items, more) {
  return { query_id: "q1", items, more };
}

test("a paged reply resolves to the items of all pages", async () => {
  const { client, last } = connected();
  const whole = client.request("query", { query: "items" });
  const { id } = last().requests("query")[0];
  answer(last(), id, "rows", rows([1, 2], true));
  mock.timers.tick(9_000);
  answer(last(), id, "rows", rows([3], true));
  mock.timers.tick(9_000);
  answer(last(), id, "rows", rows([], false));
  assert.deepEqual(await whole, { id, type: "rows", payload: rows([1, 2, 3], false) });
});

test("a paged reply that stops, or fails, rejects", async () => {
  const { client, last } = connected();
  const silent = client.request("query");
  const failed = client.request("query");
  const lost = client.request("query");
  const ids = last().requests("query").map(({ id }) => id);
  for (const id of ids) answer(last(), id, "rows", rows([1], true));
  answer(last(), ids[1], "error", { code: "timeout", message: "Too slow.", retryable: true });
  await assert.rejects(failed, { code: "timeout", message: "Too slow." });
  mock.timers.tick(10_000);
  await assert.rejects(silent, { code: "timeout" });
  await assert.rejects(lost, { code: "timeout" });
});

test("pages are iterated over as they come", async () => {
  const { client, last } = connected();
  const seen = [];
  const done = (async () => {
    for await (const { items } of client.pages("query", { query: "items" })) seen.push(items);
  })();
  await settled();
  const { id } = last().requests("query")[0];
  answer(last(), id, "rows", rows([1], true));
  await settled();
  assert.deepEqual(seen, [[1]]);
  answer(last(), id, "rows", rows([2], true));
  answer(last(), id, "rows", rows([3], false));
  await done;
  assert.deepEqual(seen, [[1], [2], [3]]);
  assert.equal(last().requests("cancel").length, 0);
});

test("what came before a failure is iterated over, then the failure is thrown", async () => {
  const { client, last } = connected();
  const seen = [];
  const done = (async () => {
    for await (const { items } of client.pages("query")) seen.push(...items);
  })();
  await settled();
  answer(last(), last().requests("query")[0].id, "rows", rows([1], true));
  last().end(1012);
  await assert.rejects(done, { code: "disconnected" });
  assert.deepEqual(seen, [1]);
});

test("leaving the loop early ends the request", async () => {
  const { client, last } = connected();
  const done = (async () => {
    for await (const { items } of client.pages("query")) return items;
  })();
  await settled();
  const { id } = last().requests("query")[0];
  answer(last(), id, "rows", rows([1], true));
  assert.deepEqual(await done, [1]);
  assert.deepEqual(last().requests("cancel"), [{ type: "cancel", payload: { id } }]);
  answer(last(), id, "error", { code: "cancelled", message: "", retryable: false });
});

test("a reply without pages is the only one; without a connection there is none", async () => {
  const { client, last } = connected();
  const done = (async () => {
    const seen = [];
    for await (const page of client.pages("a")) seen.push(page);
    return seen;
  })();
  await settled();
  last().reply("a", "a.done", { n: 1 });
  assert.deepEqual(await done, [{ n: 1 }]);
  client.stop();
  await assert.rejects(client.pages("a").next(), { code: "disconnected" });
});

test("a URL that the browser refuses stops the client, which can be started again", () => {
  let isRefused = true;
  const sockets = [];
  const client = new RealtimeClient("/ws/x/", {
    createSocket: () => {
      if (isRefused) throw new SyntaxError("The URL '/ws/x/' is invalid.");
      sockets.push(new FakeSocket());
      return sockets.at(-1);
    },
  });
  const states = [];
  client.on("state", ({ name, reason }) => states.push([name, reason]));
  assert.throws(() => client.start(), { name: "SyntaxError" });
  assert.deepEqual(states.at(-1), ["stopped", "SyntaxError: The URL '/ws/x/' is invalid."]);
  isRefused = false;
  client.start();
  sockets[0].welcome();
  assert.equal(client.state.name, "online");
});

test("a topic that is refused again and again is asked for less and less often", async () => {
  const { client, last } = connected();
  client.subscribe("t");
  const waits = [];
  for (let refusals = 1; refusals < 8; refusals += 1) {
    last().reply("subscribe", "error", { code: "internal", message: "", retryable: true });
    await settled();
    let waitedMs = 0;
    while (last().requests("subscribe").length === refusals) {
      mock.timers.tick(250);
      last().push("news", {});
      waitedMs += 250;
    }
    waits.push(waitedMs);
  }
  assert.deepEqual(waits, [...waits].sort((a, b) => a - b));
  assert.ok(waits.at(-1) >= 8_000, `${waits}`);
  last().reply("subscribe", "subscribed", { topic: "t", epoch: "e", offset: 0, recovered: null, publications: [] });
});

test("a server that waits for no pong has no connection given up for its silence", () => {
  const { client, last } = connected({ isWelcomed: false });
  last().welcome({ heartbeat: { interval_s: 25, timeout_s: 0 } });
  for (const pings of [1, 2, 3]) {
    mock.timers.tick(25_000);
    assert.equal(client.state.name, "online");
    assert.equal(last().requests("ping").length, pings);
  }
  // Only after sleep is there a doubt.
  client.checkNow();
  mock.timers.tick(4_000);
  assert.equal(client.state.name, "waiting");
});

test("a request that timed out puts the connection in doubt: it ends within 14 s", async () => {
  const { client, sockets, last } = connected();
  const lost = client.request("a");
  mock.timers.tick(10_000);
  await assert.rejects(lost, { code: "timeout" });
  assert.equal(last().requests("ping").length, 1);
  mock.timers.tick(4_000);
  assert.equal(client.state.name, "waiting");
  assert.equal(sockets[0].isClosed, true);
});

test("in the first minute of an outage tries are at most five seconds apart", () => {
  const { client, last } = connected();
  client.random = () => 1;
  last().end(1006);
  const lostMs = Date.now();
  const waits = [];
  while (Date.now() - lostMs < 60_000) {
    waits.push(client.state.retryAtMs - Date.now());
    mock.timers.tick(waits.at(-1));
    last().end(1006);
  }
  assert.equal(Math.max(...waits), 5_000);
  assert.ok(client.state.retryAtMs - Date.now() > 5_000);
});

test("somebody at the page hurries it, once a second, but not against a server that is overloaded", () => {
  const { client, sockets, last } = connected();
  mock.timers.tick(2_000);
  last().end(1006);
  client.hurry();
  assert.equal(sockets.length, 2);
  last().end(1006);
  client.hurry();
  assert.equal(sockets.length, 2);
  mock.timers.tick(1_000);
  client.hurry();
  assert.equal(sockets.length, 3);
  last().end(4429);
  mock.timers.tick(1_000);
  client.hurry();
  assert.equal(sockets.length, 3);
});

test("no socket is opened while the server is not reachable", async () => {
  const { client, sockets, last } = connected();
  let isThere = false;
  client.isReachable = async () => isThere;
  last().end(1006);
  mock.timers.tick(1_000);
  await settled();
  assert.deepEqual([sockets.length, client.state.name], [1, "waiting"]);
  isThere = true;
  client.reconnectNow();
  await settled();
  last().welcome();
  assert.deepEqual([sockets.length, client.state.name], [2, "online"]);
});

test("a client that is stopped while it asks opens nothing", async () => {
  const { client, sockets, last } = connected();
  client.isReachable = async () => true;
  last().end(1006);
  client.reconnectNow();
  client.stop();
  await settled();
  assert.deepEqual([sockets.length, client.state.name], [1, "stopped"]);
});
