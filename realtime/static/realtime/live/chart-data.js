import { bytes, count, milliseconds, rate } from "../dashboard-format.js";

/**
 * The charts of the page. To add a series, add a line with its label and its value in a push. A value
 * that a push does not have is undefined, and a chart without any is not shown.
 *
 * @typedef {{label: string, of: (beat: any) => number | undefined, color: string}} ChartSeries
 *   `color` is a CSS variable of the page
 * @typedef {{name: string, title: string, format: (value: number) => string, series: ChartSeries[]}} Chart
 * @type {Chart[]}
 */
export const CHARTS = [
  { name: "connections", title: "Open connections", format: count, series: [
    { label: "open", of: (beat) => beat.totals.active_connections, color: "--live-line" },
  ] },
  { name: "churn", title: "Connections opened a second", format: rate, series: [
    { label: "opened", of: (beat) => beat.totals.opened_per_s, color: "--live-line" },
  ] },
  { name: "messages", title: "Messages a second", format: rate, series: [
    { label: "in", of: (beat) => beat.totals.in_per_s, color: "--live-line" },
    { label: "out", of: (beat) => beat.totals.out_per_s, color: "--live-second" },
  ] },
  { name: "bytes", title: "Bytes a second", format: bytes, series: [
    { label: "in", of: (beat) => beat.totals.bytes_in_per_s, color: "--live-line" },
    { label: "out", of: (beat) => beat.totals.bytes_out_per_s, color: "--live-second" },
  ] },
  { name: "errors", title: "Errors a second", format: rate, series: [
    { label: "errors", of: (beat) => beat.totals.errors_per_s, color: "--error-fg" },
  ] },
  { name: "lag", title: "Loop lag", format: milliseconds, series: [
    { label: "now", of: (beat) => beat.nodes[0]?.loop_lag.last_ms, color: "--live-line" },
    { label: "p99, 1 min", of: (beat) => beat.nodes[0]?.loop_lag.p99_ms, color: "--live-second" },
  ] },
  { name: "memory", title: "Memory", format: (value) => bytes(value * 1024 * 1024), series: [
    { label: "resident", of: (beat) => beat.nodes[0]?.memory_mb ?? undefined, color: "--live-line" },
  ] },
];

/** Seconds shown, and their names. @type {[number, string][]} */
export const RANGES = [[300, "5 min"], [3_600, "1 h"], [28_800, "8 h"], [86_400, "24 h"]];
/** Points that a chart draws at most. */
export const POINTS_MAX = 300;

/** The name of a series among the values of a sample. @param {Chart} chart @param {number} index */
export function seriesName(chart, index) {
  return `${chart.name}.${index}`;
}

/** The values of a push, by the names of the series. @param {any} beat @returns {Record<string, number>} */
export function valuesOf(beat) {
  /** @type {Record<string, number>} */
  const values = {};
  for (const chart of CHARTS) {
    chart.series.forEach((each, index) => {
      const value = each.of(beat);
      if (value !== undefined) values[seriesName(chart, index)] = value;
    });
  }
  return values;
}

/**
 * The data that uPlot draws for a chart: times and, for each series, values. If there are more samples than
 * points, a point is the mean of its samples. Gaps are kept.
 *
 * @param {import("../dashboard-series.js").Sample[]} samples oldest first
 * @param {Chart} chart
 * @param {number} sinceMs
 * @param {number} untilMs
 * @returns {(number | null)[][]} the times first
 */
export function pointsOf(samples, chart, sinceMs, untilMs) {
  const stepMs = (untilMs - sinceMs) / POINTS_MAX;
  /** @type {Map<number, import("../dashboard-series.js").Sample[]>} */
  const groups = new Map();
  for (const sample of samples) {
    if (sample.timeMs < sinceMs || sample.timeMs > untilMs) continue;
    // Whole steps since the epoch, so that a point does not change when the range moves on.
    const step = Math.floor(sample.timeMs / stepMs) * 2 + (sample.values === null ? 1 : 0);
    const group = groups.get(step);
    if (group === undefined) groups.set(step, [sample]);
    else group.push(sample);
  }
  const points = [...groups.values()];
  return [
    points.map((group) => /** @type {any} */ (group.at(-1)).timeMs),
    ...chart.series.map((_, index) => points.map((group) => mean(group, seriesName(chart, index)))),
  ];
}

/** Whether there is anything to draw. @param {(number | null)[][]} points */
export function hasValues([, ...series]) {
  return series.some((values) => values.some((value) => value !== null));
}

/**
 * @param {import("../dashboard-series.js").Sample[]} samples
 * @param {string} name
 */
function mean(samples, name) {
  const values = samples.map((sample) => sample.values?.[name]).filter((value) => value !== undefined);
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
