import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { RealtimeClient } from "../../clients/js/src/index.js";
import { liveQuery } from "../../clients/js/src/live-query.js";
import { FakeSocket, settled } from "./fake-socket.js";

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

/** A client whose query is asked, and what its listeners were told. */
async function watching({ isWelcomed = true, ...options } = {}) {
  const sockets = [];
  const client = new RealtimeClient("/ws/data/", { random: () => 0, createSocket: () => sockets[sockets.push(new FakeSocket()) - 1] });
  client.start();
  if (isWelcomed) sockets[0].welcome();
  const told = [];
  const stop = liveQuery(client, "orders", { state: "open" }, {
    onReset: (items) => told.push(items),
    onChange: ({ op, item }) => told.push([op, item]),
    onEnded: ({ code }) => told.push(code),
    ...options,
  });
  await settled();
  return { client, told, stop, last: () => sockets.at(-1) };
}

const rows = (query_id, items, more = false) => ({ query_id, items, more });
const change = (query_id, op, item) => ({ type: "change", payload: { query_id, op, item } });

async function reconnected({ last }) {
  last().end(1012);
  mock.timers.tick(20_000);
  last().welcome();
  await settled();
}

test("all rows come first, then the changes of this query; also those that come in the frame of the rows", async () => {
  const { told, last } = await watching({ pageSize: 1 });
  last().protocol = "rockstar.v1.batch";
  const [{ id, payload }] = last().requests("query");
  assert.deepEqual(payload, { query: "orders", params: { state: "open" }, watch: true, page_size: 1 });
  const pages = [rows("q2", [1], true), rows("q2", [2])].map((page) => ({ id, type: "rows", payload: page }));
  last().lines(change("q1", "insert", 9), ...pages, change("q2", "insert", 3), change("q1", "remove", 9));
  await settled();
  last().lines(change("q2", "remove", 1), change("q1", "update", 9));
  assert.deepEqual(told, [[1, 2], ["insert", 3], ["remove", 1]]);
});

test("after a reconnect it is asked again, and one reset has all rows", async () => {
  const watch = await watching({ isWelcomed: false });
  const { told, last } = watch;
  last().welcome();
  await settled();
  last().reply("query", "rows", rows("q1", [1]));
  await settled();
  await reconnected(watch);
  // The new connection has its own names: this one is of another query, or comes from nowhere.
  last().push("change", change("q1", "insert", 7).payload);
  last().reply("query", "rows", rows("q5", [1, 2]));
  await settled();
  last().push("change", change("q5", "insert", 3).payload);
  assert.deepEqual(told, [[1], [1, 2], ["insert", 3]]);
});

test("a connection that is lost before the rows is no error", async () => {
  const watch = await watching();
  await reconnected(watch);
  watch.last().reply("query", "rows", rows("q1", [1]));
  await settled();
  assert.deepEqual(watch.told, [[1]]);
});

test("a refusal that may pass is tried again, and any other ends it", async () => {
  const { told, last } = await watching();
  last().reply("query", "error", { code: "rate_limited", message: "", retryable: true, retry_after_ms: 60_000 });
  await settled();
  mock.timers.tick(59_000);
  assert.equal(last().requests("query").length, 1);
  mock.timers.tick(1_000);
  await settled();
  assert.equal(last().requests("query").length, 2);
  last().reply("query", "error", { code: "not_found", message: "", retryable: false });
  await settled();
  mock.timers.tick(60_000);
  assert.deepEqual([told, last().requests("query").length], [["not_found"], 2]);
});

test("the end of a query by the server is told once, and it is not asked again", async () => {
  const watch = await watching();
  watch.last().reply("query", "rows", rows("q1", []));
  await settled();
  watch.last().push("unwatched", { query_id: "q1", code: "limit_exceeded", reason: "Too many rows." });
  await reconnected(watch);
  assert.deepEqual([watch.told, watch.last().requests("query").length], [[[], "limit_exceeded"], 0]);
});

test("with other rights it is asked again, and the answer decides", async () => {
  const { told, last } = await watching();
  last().reply("query", "rows", rows("q1", [1]));
  await settled();
  last().push("unwatched", { query_id: "q1", code: "permission_denied", reason: "Your rights have changed; ask again." });
  last().reply("query", "rows", rows("q2", [2]));
  await settled();
  last().push("unwatched", { query_id: "q2", code: "permission_denied", reason: "Your rights have changed; ask again." });
  last().reply("query", "error", { code: "permission_denied", message: "", retryable: false });
  await settled();
  assert.deepEqual([told, last().requests("query").length], [[[1], [2], "permission_denied"], 3]);
});

for (const isAsked of [true, false]) {
  test(`stopping ${isAsked ? "before" : "after"} the rows came makes the server stop, too`, async () => {
    const watch = await watching();
    const { stop, last, told } = watch;
    if (isAsked) stop();
    last().reply("query", "rows", rows("q1", [1]));
    await settled();
    stop();
    stop();
    assert.deepEqual(last().requests("unwatch").map(({ payload }) => payload), [{ query_id: "q1" }]);
    await reconnected(watch);
    assert.deepEqual([told, last().requests("query").length], [isAsked ? [] : [[1]], 0]);
  });
}

test("more changes than are kept while it is asked make it ask again", async () => {
  const { told, last } = await watching();
  for (let n = 0; n < 1_100; n += 1) last().push("change", change("q1", "insert", n).payload);
  last().reply("query", "rows", rows("q1", []));
  await settled();
  assert.deepEqual([told, last().requests("unwatch").length], [[], 1]);
  last().reply("query", "rows", rows("q2", [1]));
  await settled();
  assert.deepEqual(told, [[1]]);
});

test("a listener that fails ends nothing", async () => {
  const failing = [];
  const watch = await watching({
    onChange: ({ item }) => {
      failing.push(item);
      throw new Error("ours");
    },
  });
  const reported = mock.method(globalThis, "queueMicrotask", () => {});
  watch.last().reply("query", "rows", rows("q1", []));
  await settled();
  watch.last().push("change", change("q1", "insert", 1).payload);
  assert.throws(reported.mock.calls.at(-1).arguments[0], /ours/);
  reported.mock.restore();
  watch.last().push("unwatched", { query_id: "q1", code: "internal", reason: "" });
  assert.deepEqual([failing, watch.told], [[1], [[], "internal"]]);
});
