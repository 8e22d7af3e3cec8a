import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, errorOf, newKey } from "../../realtime/static/realtime/live/api.js";
import { nextPositions, scopeLine, topicKey } from "../../realtime/static/realtime/live/figures.js";
import { entriesOf, moved, viewsLike } from "../../realtime/static/realtime/live/finding.js";
import {
  addressOf, bodyOf, closesOf, isOffered, NO_ANSWERS, OPERATIONS, outcomeOf,
} from "../../realtime/static/realtime/live/operations.js";
import { ariaSort, changed, hashOf, nextSort, pageOf, placeOf } from "../../realtime/static/realtime/live/place.js";

const ALICE = { kind: "user", id: 7, label: "alice", tenant: "acme" };
const ALL = { operator_orders: Object.keys(OPERATIONS) };

test("a place survives the way through the address", () => {
  for (const place of [
    { view: "connections", id: null, query: { user: "7", q: "a&b=c?d#e" } },
    { view: "topics", id: "chat.room.1/50% ü", query: { tenant: "acme" } },
    { view: "audit", id: null, query: {} },
  ]) assert.deepEqual(placeOf(hashOf(place)), place);
});

test("an address that says nothing shows the overview", () => {
  for (const hash of ["", "#", "#nothing?q=1", "#constructor"]) assert.equal(placeOf(hash).view, "overview");
  assert.deepEqual(placeOf("#connections/%E0%A4?q="), { view: "connections", id: null, query: {} });
});

test("another filter begins at the first page, and an empty one is none", () => {
  const place = placeOf("#connections?page=3&user=7");
  assert.equal(hashOf(changed(place, { q: "x" })), "#connections?user=7&q=x");
  assert.equal(hashOf(changed(place, { user: "" })), "#connections");
  assert.equal(hashOf(changed(place, { page: "4" })), "#connections?user=7&page=4");
});

test("a heading turns the order round; numbers begin with the largest", () => {
  assert.equal(nextSort("-opened_at", "user", false), "user");
  assert.equal(nextSort("user", "user", false), "-user");
  assert.equal(nextSort("user", "messages_in", true), "-messages_in");
  assert.equal(nextSort("-messages_in", "messages_in", true), "messages_in");
  assert.deepEqual([ariaSort("a", "a"), ariaSort("-a", "a"), ariaSort("a", "b")], ["ascending", "descending", undefined]);
});

test("pages say what they show", () => {
  assert.deepEqual(pageOf(0, 50, 1), { page: 1, pages: 1, first: 0, last: 0, hasNext: false, hasPrevious: false });
  assert.deepEqual(pageOf(101, 50, 3), { page: 3, pages: 3, first: 101, last: 101, hasNext: false, hasPrevious: true });
});

test("a list says which part of the cluster it is of", () => {
  assert.equal(scopeLine({ nodes_answered: 3, nodes_total: 3 }, 2_000), "3 of 3 nodes, 2 s ago");
  assert.equal(scopeLine({ nodes_answered: 2, nodes_total: 3 }, 400, ["n3"]), "2 of 3 nodes, 0 s ago, late: n3");
});

test("a rate is how far a topic came; a new epoch has none", () => {
  const row = { tenant: "acme", topic: "a", epoch: "e", offset: 10 };
  const first = nextPositions(new Map(), [row], 1_000);
  assert.equal(first.get(topicKey(row)).perS, null);
  const second = nextPositions(first, [{ ...row, offset: 20 }], 6_000);
  assert.equal(second.get(topicKey(row)).perS, 2);
  assert.equal(nextPositions(second, [{ ...row, epoch: "f", offset: 1 }], 9_000).get(topicKey(row)).perS, null);
  assert.equal(nextPositions(second, [], 9_000).size, 0);
});

test("orders are what the endpoints take", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const answers = { ...NO_ANSWERS, reason: "abuse" };
  const bodies = {
    connection: { connection_id: "c" }, user: { user_id: "c" }, address: { address: "c" }, topic: { topic: "c" }, everyone: { everyone: true },
  };
  for (const [kind, operand] of Object.entries(bodies)) {
    const body = bodyOf({ name: "disconnect", target: { kind, id: "c", label: "", tenant: "acme" } }, answers, now);
    assert.deepEqual(body, { ...operand, tenant: "acme", reconnect: true, reason: "abuse" });
  }
  assert.deepEqual(bodyOf({ name: "ban", target: { ...ALICE, tenant: null } }, { ...answers, hours: 1 }, now), {
    user_id: 7, until: "2026-01-01T01:00:00.000Z", reason: "abuse",
  });
  const subscription = { kind: "subscription", id: "a.b", label: "", tenant: "acme", user: { id: 7, username: "alice" } };
  assert.deepEqual(bodyOf({ name: "unsubscribe", target: subscription }, NO_ANSWERS, now), { topic: "a.b", user_id: 7, tenant: "acme" });
  assert.deepEqual(bodyOf({ name: "drain", target: { kind: "node", id: "n1", label: "", tenant: null } }, NO_ANSWERS, now), { node: "n1" });
  assert.deepEqual(bodyOf({ name: "suspend", target: { kind: "tenant", id: "acme", label: "", tenant: "acme" } }, NO_ANSWERS, now), {});
  const everyone = { kind: "everyone", id: "acme", label: "", tenant: "acme" };
  assert.deepEqual(bodyOf({ name: "announce", target: everyone }, { ...NO_ANSWERS, text: "hi", level: "warning" }, now), {
    tenant: "acme", text: "hi", level: "warning",
  });
});

test("each order has an address", () => {
  assert.deepEqual(addressOf({ name: "disconnect", target: ALICE }), { method: "POST", path: "disconnect/" });
  assert.deepEqual(addressOf({ name: "suspend", target: { kind: "tenant", id: "acme", label: "", tenant: null } }), {
    method: "POST", path: "tenants/acme/suspend/",
  });
  assert.deepEqual(addressOf({ name: "unban", target: { kind: "ban", id: 3, label: "", tenant: null } }), { method: "DELETE", path: "ban/3/" });
});

test("without the permission there is no button", () => {
  const offered = (may) => Object.keys(OPERATIONS).filter((name) => isOffered(name, may));
  assert.deepEqual(offered({ operator_orders: [] }), []);
  assert.deepEqual(offered({ operator_orders: ["announce", "publish"] }), ["announce"]);
  assert.deepEqual(offered(ALL), Object.keys(OPERATIONS));
});

test("a dialog counts the connections that an order closes", () => {
  assert.deepEqual(closesOf({ name: "ban", target: ALICE }), { user: "7", tenant: "acme" });
  assert.deepEqual(closesOf({ name: "disconnect", target: { kind: "everyone", id: "", label: "", tenant: "acme" } }), { tenant: "acme" });
  assert.equal(closesOf({ name: "unsubscribe", target: ALICE }), null);
  assert.equal(closesOf({ name: "disconnect", target: { ...ALICE, kind: "connection" } }), null);
});

test("the page says what came of it", () => {
  assert.equal(outcomeOf({ name: "disconnect", target: ALICE }, { count: 2 }), "Disconnect, alice: 2 connections closed.");
  assert.equal(outcomeOf({ name: "ban", target: ALICE }, { id: 1, count: 0 }), "Ban, alice: Banned. 0 connections closed.");
  assert.match(outcomeOf({ name: "ban", target: ALICE }, { count: 0 }), /nothing was done/);
});

test("errors name the fields, also those that say nothing", () => {
  const error = errorOf(400, { error: { message: "Wrong.", details: { until: ["Too early."], text: "Empty." } } });
  assert.deepEqual([error.status, error.message, error.fields], [400, "Wrong.", { until: ["Too early."], text: ["Empty."] }]);
  assert.equal(errorOf(502, null).message, "The server answered 502.");
  assert.notEqual(newKey(), newKey());
});

test("the palette leads to what it found", () => {
  const found = {
    views: viewsLike({ audit: "Audit", nodes: "Nodes" }, "aU"),
    users: [{ id: 7, username: "alice" }],
    tenants: [{ slug: "globex", name: "Globex", is_active: false }],
    topics: [{ tenant: "acme", topic: "a/b" }],
    connections: [{ id: "c1", user: null, route: "/ws/echo/", address: "::1" }],
  };
  assert.deepEqual(entriesOf(found, true).map(({ kind, hint, hash }) => [kind, hint, hash]), [
    ["View", "", "#audit"],
    ["User", "id 7", "#connections?user=7"],
    ["Tenant", "Globex, suspended", "#tenants?q=globex"],
    ["Topic", "acme", "#topics/a%2Fb?tenant=acme"],
    ["Connection", "/ws/echo/, ::1", "#connections/c1"],
  ]);
  assert.equal(entriesOf(found, false)[3].hash, "#topics/a%2Fb");
  assert.deepEqual([moved(0, -1, 3), moved(2, 1, 3), moved(0, 1, 0)], [2, 0, 0]);
});

test("a site without control endpoints says so in the lists, and still reads its own paths", async () => {
  const asked = [];
  const before = globalThis.fetch;
  globalThis.fetch = async (path) => asked.push(path) && { ok: true, json: async () => ({}) };
  try {
    const api = new Api("", "token");
    await assert.rejects(api.get("nodes/"), { status: 404, message: /no control endpoints/ });
    await api.get("/admin/realtime/live/samples/");
    assert.deepEqual(asked, ["/admin/realtime/live/samples/"]);
  } finally {
    globalThis.fetch = before;
  }
});
