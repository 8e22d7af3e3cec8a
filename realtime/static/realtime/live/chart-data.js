import { bytes, count, milliseconds, percent, rate } from "../dashboard-format.js";
import { _ } from "../texts.js";
import { namesWith, valuesOf } from "./series.js";

/**
 * The charts of the page. To add one, or a series in one, add a line: `name` is a value that the server makes
 * (realtime/core/points.py); `prefix` stands for all values that begin with it, one series each. `isOfNodes`: the
 * values are of whole nodes, so filters by tenant and route do not concern them. A chart without values is not shown.
 *
 * @typedef {{name: string, label: string}} FixedSeries
 * @typedef {{prefix: string, label: (rest: string, words: Words) => string}} NamedSeries
 * @typedef {{name: string, title: string, format: (value: number) => string, series: (FixedSeries | NamedSeries)[],
 *   isInBytes?: boolean, isOfNodes?: boolean, hasObjective?: boolean}} Chart values by code are parts of the value without it
 * @typedef {{meanings: Record<string, string>}} Words
 * @typedef {{label: string, values: (number | null)[], color: string}} Line
 * @type {Chart[]}
 */
export const CHARTS = [
  { name: "connections", title: _("Open connections"), format: count, series: [{ name: "connections", label: _("open") }] },
  { name: "churn", title: _("Opened and closed a second"), format: rate, series: [
    { name: "opened", label: _("opened") },
    { prefix: "closed.", label: (code, { meanings }) => (meanings[code] ? `${code} ${meanings[code]}` : code) },
  ] },
  { name: "messages", title: _("Messages a second"), format: rate, series: [{ name: "messages_in", label: _("in") }, { name: "messages_out", label: _("out") }] },
  { name: "bytes", title: _("Bytes a second"), format: bytes, isInBytes: true, series: [{ name: "bytes_in", label: _("in") }, { name: "bytes_out", label: _("out") }] },
  { name: "latency", title: _("Time to answer a request"), format: milliseconds, isOfNodes: true, hasObjective: true, series: [
    { name: "request.p50", label: "p50" }, { name: "request.p95", label: "p95" }, { name: "request.p99", label: "p99" },
  ] },
  { name: "delivery", title: _("Publication to last write"), format: milliseconds, isOfNodes: true, series: [
    { name: "delivery.p50", label: "p50" }, { name: "delivery.p95", label: "p95" }, { name: "delivery.p99", label: "p99" },
  ] },
  { name: "errors", title: _("Errors a second"), format: rate, series: [
    { prefix: "errors.", label: (code) => code }, { name: "dropped", label: _("messages dropped") },
  ] },
  { name: "refusals", title: _("Refused a second"), format: rate, series: [{ prefix: "refused.", label: (status) => status }] },
  { name: "recoveries", title: _("Recoveries a second"), format: rate, isOfNodes: true, series: [
    { name: "recoveries.full", label: _("full") }, { name: "recoveries.failed", label: _("failed") },
    { name: "gaps_repaired", label: _("gaps repaired") }, { name: "slow_consumers", label: _("slow consumers") },
  ] },
  { name: "lag", title: _("Loop lag, largest of a minute"), format: milliseconds, isOfNodes: true, series: [{ prefix: "lag.", label: shortNode }] },
  { name: "outbox", title: _("Bytes that wait for clients"), format: bytes, isInBytes: true, isOfNodes: true, series: [{ prefix: "outbox.", label: shortNode }] },
  { name: "memory", title: _("Memory"), format: bytes, isInBytes: true, isOfNodes: true, series: [{ prefix: "memory.", label: shortNode }] },
  { name: "cpu", title: _("CPU, part of a core"), format: percent, isOfNodes: true, series: [{ prefix: "cpu.", label: shortNode }] },
];

/** Seconds shown, and their names. @type {[number, string][]} */
export const RANGES = [[300, _("5 min")], [3_600, _("1 h")], [28_800, _("8 h")], [86_400, _("24 h")]];
/** Lines of a chart; the smallest beyond it are not drawn. */
export const LINES_MAX = 6;
/** Points that are now: in a short time there may be nothing to measure. */
const LATELY = 5;
/** Colours that the style sheet has: `--live-1` and so on. */
export const COLORS = Array.from({ length: LINES_MAX }, (_, index) => `--live-${index + 1}`);

/** The beginning of a node's id: enough to know it by. @param {string} node */
export function shortNode(node) {
  return node.slice(0, 6);
}

/**
 * The lines of a chart, the largest first if there are more than LINES_MAX. A line without any value, or one by code
 * that is always zero, is left out.
 * @param {Chart} chart
 * @param {import("./series.js").Sample[]} samples those that are shown
 * @param {import("./series.js").Sample[][]} groups
 * @param {Words} words
 * @returns {{lines: Line[], left: number}} `left` is how many there are beyond LINES_MAX
 */
export function linesOf(chart, samples, groups, words) {
  const found = chart.series.flatMap((series) => "name" in series
    ? [{ label: series.label, values: valuesOf(groups, series.name) }]
    : namesWith(samples, series.prefix).map((name) => ({
      label: series.label(name.slice(series.prefix.length), words),
      values: chart.isOfNodes ? valuesOf(groups, name) : valuesOf(groups, name, series.prefix.slice(0, -1)),
    }))
      .filter(({ values }) => chart.isOfNodes || values.some((value) => value !== null && value > 0)));
  const known = found.filter(({ values }) => values.some((value) => value !== null));
  const chosen = new Set([...known].sort((one, other) => sumOf(other.values) - sumOf(one.values)).slice(0, LINES_MAX));
  const lines = known.filter((line) => chosen.has(line)).map((line, index) => ({ ...line, color: COLORS[index] }));
  return { lines, left: known.length - lines.length };
}

/** The value of now; null if there was none lately, as of a node that has ended. @param {(number | null)[]} values */
export function lastOf(values) {
  return values.slice(-LATELY).findLast((value) => value !== null) ?? null;
}

/** @param {(number | null)[]} values */
function sumOf(values) {
  return values.reduce((/** @type {number} */ sum, value) => sum + (value ?? 0), 0);
}
