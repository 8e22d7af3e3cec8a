import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { RealtimeClient } from "../../clients/js/src/index.js";
import { liveState } from "../../clients/js/src/live-state.js";
import { NOBODY, presenceAfter } from "../../clients/js/src/presence.js";
import { FakeSocket, settled } from "./fake-socket.js";
import { load, skip } from "./npm.mjs";

const clients = [];
// Their timers would keep the process alive.
afterEach(() => clients.splice(0).forEach((client) => client.stop()));

function connected() {
  const socket = new FakeSocket();
  const client = new RealtimeClient("/ws/x/", { random: () => 0, createSocket: () => socket });
  clients.push(client);
  client.start();
  socket.welcome();
  return { client, socket };
}

const publication = (offset, data) => ({ topic: "t", offset, data, publisher: null, time: "" });
const since = { epoch: "e", offset: 3 };
const append = (state, { data }) => [...state, data];

async function subscribed(socket, more = {}) {
  socket.reply("subscribe", "subscribed", { topic: "t", epoch: "e", offset: 3, recovered: true, publications: [], ...more });
  await settled();
}

test("presence is the list of users, or their number where nobody is named", () => {
  const [ann, bob] = [{ id: 1, username: "ann", connections: 1 }, { id: 2, username: "bob", connections: 1 }];
  const both = presenceAfter(presenceAfter(NOBODY, { joined: [ann], left: [] }), { joined: [bob], left: [] });
  assert.deepEqual(both, { users: [ann, bob], count: 2 });
  assert.deepEqual(presenceAfter(both, { joined: [{ ...ann, connections: 2 }], left: [bob] }), { users: [{ ...ann, connections: 2 }], count: 1 });
  assert.deepEqual(presenceAfter(both, { joined: [], left: [], count: 250 }), { users: [], count: 250 });
});

test("a live state is loaded, goes on from its position, and is loaded again when something was lost", async () => {
  const { client, socket } = connected();
  const states = [];
  const loads = [["a"], ["a", "b", "c"]];
  const stop = liveState(client, "t", { load: async () => ({ state: loads.shift(), since }), reduce: append, onState: (state) => states.push(state) });
  await settled();
  assert.deepEqual(socket.requests("subscribe")[0].payload, { topic: "t", recover: since });
  await subscribed(socket, { offset: 4, publications: [publication(4, "b")] });
  socket.push("unsubscribed", { topic: "t", code: "unrecoverable_position" });
  await subscribed(socket, { offset: 9, recovered: false });
  await settled();
  await subscribed(socket);
  socket.push("publication", publication(4, "d"));
  assert.deepEqual(states, [["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]]);
  stop();
  socket.push("publication", publication(5, "e"));
  assert.equal(states.length, 4);
});

test("a live state that cannot be loaded says so and tries again; stopped, it does neither", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { client } = connected();
  const errors = [];
  const states = [];
  let isThere = false;
  const load_ = async () => {
    if (!isThere) throw new Error("no network");
    return { state: [], since };
  };
  const options = { load: load_, reduce: append, onState: (state) => states.push(state), onError: (error) => errors.push(error.message) };
  const stop = liveState(client, "t", options);
  await settled();
  isThere = true;
  t.mock.timers.tick(20_000);
  await settled();
  assert.deepEqual([errors, states], [["no network"], [[]]]);
  stop();
  isThere = false;
  const gone = liveState(client, "t", options);
  gone();
  await settled();
  t.mock.timers.tick(20_000);
  assert.equal(errors.length, 1);
});

test("a live state whose position is never in the history is loaded again less and less often, and says so", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { client, socket } = connected();
  const errors = [];
  const states = [];
  let loads = 0;
  const load_ = async () => ({ state: [(loads += 1)], since });
  const stop = liveState(client, "t", { load: load_, reduce: append, onState: (state) => states.push(state), onError: (error) => errors.push(error.code) });
  await settled();
  await subscribed(socket, { offset: 9, recovered: false });
  await settled();
  assert.deepEqual([loads, errors], [2, []]);
  await subscribed(socket, { offset: 9, recovered: false });
  await settled();
  assert.deepEqual([loads, errors], [2, ["unrecoverable_position"]]);
  // Nothing is added to a state that has a hole.
  socket.push("publication", publication(10, "late"));
  assert.deepEqual(states, [[1], [2]]);
  t.mock.timers.tick(20_000);
  await settled();
  assert.equal(loads, 3);
  await subscribed(socket);
  socket.push("publication", publication(4, "d"));
  assert.deepEqual(states.at(-1), [3, "d"]);
  // It has recovered: the next loss is loaded at once.
  socket.push("unsubscribed", { topic: "t", code: "unrecoverable_position" });
  await subscribed(socket, { offset: 9, recovered: false });
  await settled();
  assert.deepEqual([loads, errors.length], [4, 1]);
  stop();
});

/** Runs hooks in a component, and shows what they return. */
async function rendered(hooks) {
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  const React = load("react");
  const { act, create } = load("react-test-renderer");
  const shown = [];
  const Component = (props) => {
    shown.push(hooks(props));
    return null;
  };
  let renderer;
  const element = (props) => React.createElement(React.StrictMode, null, React.createElement(Component, props));
  await act(async () => (renderer = create(element({ topic: "t" }))));
  return { shown, act, update: (props) => act(async () => renderer.update(element(props))), end: () => act(async () => renderer.unmount()) };
}

test("React: the connection, a live state and who is there", { skip }, async () => {
  const { useConnection, useLiveState, usePresence } = await import("../../clients/js/react.js");
  const { client, socket } = connected();
  const { shown, act, end } = await rendered(({ topic }) => ({
    connection: useConnection(client).name,
    ...useLiveState(client, topic, { load: async () => ({ state: ["a"], since }), reduce: append }),
    present: usePresence(client, topic).count,
  }));
  const answer = (more) => act(() => subscribed(socket, more));
  await answer({ presence: { users: [], count: 7 } });
  await answer({ presence: { users: [], count: 7 } });
  await act(async () => socket.push("publication", publication(4, "b")));
  assert.deepEqual(shown.at(-1), { connection: "online", state: ["a", "b"], error: null, present: 7 });
  await act(async () => socket.push("presence", { topic: "t", count: 8 }));
  await act(async () => socket.end(1012));
  assert.deepEqual(shown.at(-1), { connection: "waiting", state: ["a", "b"], error: null, present: 8 });
  await end();
});

test("React: a subscription follows the topic and calls the newest functions", { skip }, async () => {
  const { useSubscription } = await import("../../clients/js/react.js");
  const { client, socket } = connected();
  const heard = [];
  const { update, end } = await rendered(({ topic, word = "first" }) => {
    useSubscription(client, topic, { onPublication: ({ data }) => heard.push(`${word} ${data}`) });
  });
  // In strict mode React subscribes, unsubscribes and subscribes.
  await subscribed(socket);
  await subscribed(socket);
  await update({ topic: "t", word: "second" });
  socket.push("publication", publication(4, "news"));
  assert.deepEqual(heard, ["second news"]);
  await update({ topic: null });
  assert.equal(socket.sent.at(-1).type, "unsubscribe");
  await end();
});

test("React: nothing of one topic is shown for another, and no topic has nothing", { skip }, async () => {
  const { useLiveState, usePresence } = await import("../../clients/js/react.js");
  const { client, socket } = connected();
  const { shown, act, update, end } = await rendered(({ topic }) => ({
    topic,
    state: useLiveState(client, topic, { load: async () => ({ state: ["a"], since }), reduce: append }).state,
    count: usePresence(client, topic).count,
  }));
  const answer = () => act(() => subscribed(socket, { presence: { users: [], count: 7 } }));
  await answer();
  await answer();
  assert.deepEqual(shown.at(-1), { topic: "t", state: ["a"], count: 7 });
  for (const topic of [null, undefined]) {
    await update({ topic });
    assert.deepEqual(shown.at(-1), { topic, state: undefined, count: 0 });
  }
  await update({ topic: "other" });
  assert.deepEqual(socket.sent.filter(({ type, payload }) => type === "subscribe" && payload.topic === null), []);
  assert.deepEqual(shown.filter(({ topic, count, state }) => topic !== "t" && (count > 0 || (state && topic !== "other"))), []);
  await end();
});

test("Vue: nothing of one topic is shown for another, and no topic has nothing", { skip }, async () => {
  const { effectScope, nextTick, ref } = load("vue");
  const { useLiveState, usePresence } = await import("../../clients/js/vue.js");
  const { client, socket } = connected();
  const topic = ref("t");
  const scope = effectScope();
  const { live, present } = scope.run(() => ({
    live: useLiveState(client, topic, { load: async () => ({ state: ["a"], since }), reduce: append }),
    present: usePresence(client, topic),
  }));
  await settled();
  await subscribed(socket, { presence: { users: [], count: 7 } });
  assert.deepEqual([live.state.value, present.value.count], [["a"], 7]);
  for (const name of [null, undefined]) {
    topic.value = name;
    await nextTick();
    await settled();
    assert.deepEqual([live.state.value, present.value.count], [undefined, 0]);
  }
  assert.deepEqual(socket.requests("subscribe").map((each) => each.payload.topic).filter((name) => name !== "t"), []);
  scope.stop();
});

test("Vue: the connection, a live state and who is there, until the scope ends", { skip }, async () => {
  const { effectScope, nextTick, ref } = load("vue");
  const { useConnection, useLiveState, usePresence } = await import("../../clients/js/vue.js");
  const { client, socket } = connected();
  const topic = ref("t");
  const scope = effectScope();
  const { connection, live, present } = scope.run(() => ({
    connection: useConnection(client),
    live: useLiveState(client, topic, { load: async () => ({ state: ["a"], since }), reduce: append }),
    present: usePresence(client, topic),
  }));
  await settled();
  await subscribed(socket, { presence: { users: [], count: 7 } });
  await subscribed(socket, { presence: { users: [], count: 7 } });
  socket.push("publication", publication(4, "b"));
  assert.deepEqual([connection.value.name, live.state.value, live.error.value, present.value.count], ["online", ["a", "b"], null, 7]);
  topic.value = "other";
  await nextTick();
  await settled();
  assert.deepEqual(live.state.value, ["a"]);
  assert.deepEqual(socket.requests("unsubscribe").map((each) => each.payload.topic), ["t"]);
  scope.stop();
  assert.deepEqual(socket.requests("unsubscribe").map((each) => each.payload.topic), ["t", "other"]);
});
