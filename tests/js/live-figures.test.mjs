import assert from "node:assert/strict";
import { test } from "node:test";

import { CHARTS, lastOf, LINES_MAX, linesOf } from "../../realtime/static/realtime/live/chart-data.js";
import { appendTo, evenly, groupsOf, joined, namesWith, POINTS_MAX, samplesOf, timesOf, valuesOf } from "../../realtime/static/realtime/live/series.js";
import { stateOf, summaryOf } from "../../realtime/static/realtime/live/states.js";
import { coverageOf, LiveStore } from "../../realtime/static/realtime/live/store.js";

const WORDS = { meanings: { 4408: "timeout" } };
const START_MS = Date.parse("2026-01-01T00:00:00Z");

/** A store, what it has asked for, and how to answer. */
function made({ ownTenant = null } = {}) {
  const asked = [];
  const client = {
    state: { name: "online" },
    request: async (verb, payload) => void asked.push([verb, payload]),
  };
  const page = { isHidden: false, history: { step_s: 10, since: 0, until: 0, at: [], values: {} }, read: [] };
  const readHistory = async (params) => {
    page.read.push(params);
    if (page.history instanceof Error) throw page.history;
    return page.history;
  };
  return { asked, client, page, store: new LiveStore(client, readHistory, () => page.isHidden, ownTenant) };
}

function beatAt(seconds, values = {}, scope = {}) {
  return { interval_s: 2, time: new Date(START_MS + seconds * 1000).toISOString(), tenant: null, route: null, node: null, nodes: [], point: values, ...scope };
}

const EVERYTHING = { tenant: "", route: "", node: "", rangeS: 300 };
const settled = () => new Promise((done) => setTimeout(done, 0));

test("stored columns become samples, and a silence a gap", () => {
  const samples = samplesOf({ step_s: 10, since: 0, until: 100, at: [10, 20, 60], values: { in: [1, null, 3], out: [4, 5, 6] } });
  assert.deepEqual(samples, [
    { timeMs: 10_000, values: { in: 1, out: 4 } },
    { timeMs: 20_000, values: { out: 5 } },
    { timeMs: 20_001, values: null },
    { timeMs: 60_000, values: { in: 3, out: 6 } },
  ]);
});

test("what was pushed goes on where the stored samples end", () => {
  const stored = [{ timeMs: 10_000, values: { in: 1 } }];
  const pushed = [{ timeMs: 9_000, values: { in: 7 } }, { timeMs: 12_000, values: { in: 2 } }, { timeMs: 60_000, values: { in: 3 } }];
  assert.deepEqual(joined(stored, pushed, 20_000).map(({ timeMs }) => timeMs), [10_000, 12_000, 12_001, 60_000]);
  const samples = [...stored];
  appendTo(samples, { timeMs: 10_000, values: { in: 5 } }, 1);
  assert.equal(samples.length, 1);
});

test("a chart has at most so many points, the means of their samples, and gaps stay", () => {
  const samples = Array.from({ length: 3_000 }, (_, index) => ({ timeMs: index * 2_000, values: { in: index % 2, out: 1 } }));
  const groups = groupsOf(samples, 0, 6_000_000);
  assert.ok(groups.length <= POINTS_MAX + 1);
  assert.deepEqual([valuesOf(groups, "in")[5], valuesOf(groups, "out")[5], valuesOf(groups, "none")[5]], [0.5, 1, null]);
  const some = groupsOf(samples, 5_700_000, 6_000_000);
  assert.deepEqual([timesOf(some)[0], some.length], [5_700_000, 150]);
  const gap = [{ timeMs: 1_000, values: { in: 1 } }, { timeMs: 1_001, values: null }, { timeMs: 1_100, values: { in: 2 } }];
  assert.deepEqual(valuesOf(groupsOf(gap, 0, 3_000_000), "in"), [1, null, 2]);
});

test("a small line has equal parts, and a part without a sample repeats the last", () => {
  const samples = [{ timeMs: 5, values: { in: 1 } }, { timeMs: 10, values: { in: 3 } }, { timeMs: 35, values: { in: 5 } }, { timeMs: 99, values: { in: 9 } }];
  assert.deepEqual(evenly(samples, "in", 0, 40, 4), [2, 2, 2, 5]);
  assert.deepEqual(evenly(samples, "in", -20, 40, 3), [null, 2, 5]);
});

test("a chart has a line for each code that came, and the largest of too many nodes", () => {
  const churn = CHARTS.find(({ name }) => name === "churn");
  const samples = [{ timeMs: 1_000, values: { opened: 0, closed: 2, "closed.4408": 2, "closed.1000": 0 } }, { timeMs: 1_500, values: { opened: 1, closed: 0 } }];
  const { lines } = linesOf(churn, samples, groupsOf(samples, 0, 2_000), WORDS);
  // A code that did not come is 0, and none of its own is drawn if it never came.
  assert.deepEqual(lines.map(({ label, values }) => [label, values]), [["opened", [0, 1]], ["4408 timeout", [2, 0]]]);
  const lag = CHARTS.find(({ name }) => name === "lag");
  const values = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`lag.node${index}xx`, index]));
  const many = [{ timeMs: 1_000, values }];
  const found = linesOf(lag, many, groupsOf(many, 0, 2_000), WORDS);
  assert.deepEqual([found.lines.length, found.left, found.lines[0].label], [LINES_MAX, 3, "node3x"]);
  assert.equal(new Set(found.lines.map(({ color }) => color)).size, LINES_MAX);
  assert.deepEqual(linesOf(lag, [], [], WORDS), { lines: [], left: 0 });
  assert.deepEqual(namesWith(many, "memory."), []);
});

test("a line of a node that has ended has no value of now", () => {
  assert.equal(lastOf([1, 2, null, null]), 2);
  assert.equal(lastOf([1, 2, null, null, null, null, null]), null);
  assert.equal(lastOf([]), null);
});

test("the store asks for what is wanted, once, and for its past", async () => {
  const { asked, page, store } = made();
  store.want(EVERYTHING);
  store.want({ ...EVERYTHING });
  await settled();
  assert.deepEqual(page.read, [{ range_s: "300", tenant: "", route: "", node: "" }]);
  assert.deepEqual(asked, []);
  store.want({ ...EVERYTHING, tenant: "acme", rangeS: 3_600 });
  await settled();
  assert.deepEqual(asked, [["live.start", { interval_s: 2, tenant: "acme", route: null, node: null }]]);
  assert.equal(page.read[1].range_s, "3600");
});

test("pushes of what was wanted before are not shown", () => {
  const { store } = made();
  store.want({ ...EVERYTHING, tenant: "acme" });
  store.take(beatAt(0, { in: 1 }), 0);
  assert.equal(store.beat, null);
  store.take(beatAt(2, { in: 2 }, { tenant: "acme" }), 2_000);
  assert.equal(store.samples.length, 1);
  const staff = made({ ownTenant: "acme" }).store;
  staff.want(EVERYTHING);
  staff.take(beatAt(0, { in: 1 }, { tenant: "acme" }), 0);
  assert.equal(staff.samples.length, 1);
});

test("a paused or hidden page is silent, and reads what it has missed", async () => {
  const { asked, page, store } = made();
  store.want(EVERYTHING);
  store.take(beatAt(0, { in: 1 }), 0);
  store.togglePause();
  store.take(beatAt(2, { in: 2 }), 2_000);
  assert.equal(store.samples.length, 1);
  page.isHidden = true;
  store.togglePause();
  page.isHidden = false;
  await store.follow();
  assert.deepEqual(asked.map(([verb]) => verb), ["live.stop", "live.stop", "live.start"]);
  const reads = page.read.length;
  page.history = { step_s: 10, since: 0, until: 0, at: [START_MS / 1000 + 10, START_MS / 1000 + 20], values: { in: [3, 4] } };
  store.take(beatAt(30, { in: 5 }), 30_000);
  await settled();
  assert.equal(page.read.length, reads + 1);
  assert.deepEqual(store.samples.map(({ values }) => values?.in), [3, 4, 5]);
});

test("a past that cannot be read is said, and the pushes are shown", async () => {
  const { page, store } = made();
  let told = 0;
  store.listen(() => (told += 1));
  page.history = new Error("no route");
  store.want(EVERYTHING);
  await settled();
  store.take(beatAt(0, { in: 1 }), 0);
  assert.match(store.error, /The past cannot be read: no route/);
  assert.equal(store.samples.length, 1);
  assert.ok(told >= 2);
});

test("nodes that are late are named, and the oldest of the others counts", () => {
  const nodes = [{ node: "a", age_s: 0, is_late: false }, { node: "b", age_s: 1.9, is_late: false }, { node: "c", age_s: 5, is_late: true }];
  assert.deepEqual(coverageOf(nodes), { answer: { nodes_answered: 2, nodes_total: 3 }, ageMs: 1_900, late: ["c"] });
});

test("a strip and a state in words", () => {
  assert.equal(summaryOf("..oob"), "67 % good, 33 % busy");
  assert.equal(summaryOf("ood-"), "67 % good, 33 % draining; ended");
  assert.equal(summaryOf("-.."), "not there");
  assert.deepEqual(stateOf({ answered: false }, undefined), ["away", "late"]);
  assert.deepEqual(stateOf({ answered: true, draining: true }, { broker_up: 1 }), ["draining", "draining"]);
  assert.deepEqual(stateOf({ answered: true }, { broker_up: 0 }), ["away", "broker away"]);
  assert.deepEqual(stateOf({ answered: true }, undefined), ["good", "serving"]);
});
