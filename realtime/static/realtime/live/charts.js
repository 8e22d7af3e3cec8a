import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { _ } from "../texts.js";
import { CHARTS, lastOf, linesOf } from "./chart-data.js";
import { html } from "./html.js";
import { groupsOf, timesOf } from "./series.js";

const HEIGHT_PX = 160;
const TWIN_ROWS = 40;
const SYNC = "live";
// So that an axis of bytes has round numbers.
const POWERS_OF_TWO = Array.from({ length: 50 }, (_, exponent) => 2 ** exponent);
const ONE_DAY_MS = 86_400_000;

/**
 * The charts of a range of time.
 * @param {{samples: import("./series.js").Sample[], sinceMs: number, untilMs: number, isFiltered: boolean, config: any}} props
 *   `isFiltered`: by tenant or route
 */
export function Charts({ samples, sinceMs, untilMs, isFiltered, config }) {
  const drawn = useMemo(() => {
    const shown = samples.filter(({ timeMs }) => timeMs >= sinceMs && timeMs <= untilMs);
    const groups = groupsOf(shown, sinceMs, untilMs);
    const times = timesOf(groups);
    return CHARTS.map((chart) => ({ chart, times, ...linesOf(chart, shown, groups, { meanings: config.close_meanings }) }))
      .filter(({ lines }) => lines.length > 0);
  }, [samples, sinceMs, untilMs]);
  return html`
    <div class="charts">${drawn.map(({ chart, times, lines, left }) => html`
      <${ChartCard} key=${`${chart.name} ${lines.map(({ label }) => label).join(" ")}`} objective=${chart.hasObjective ? config.objective_ms : 0}
        note=${isFiltered && chart.isOfNodes ? _("all tenants") : left > 0 ? _("{count} more", { count: left }) : ""} ...${{ chart, times, lines, sinceMs, untilMs }} />`)}</div>`;
}

/**
 * @param {{chart: import("./chart-data.js").Chart, times: number[], lines: import("./chart-data.js").Line[], note: string,
 *   objective: number, sinceMs: number, untilMs: number}} props
 */
function ChartCard({ chart, times, lines, note, objective, sinceMs, untilMs }) {
  const [isOpen, setIsOpen] = useState(false);
  // The index of the point at the pointer.
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const range = useRef([sinceMs, untilMs]);
  range.current = [sinceMs, untilMs];
  const data = [times, ...lines.map(({ values }) => values)];
  useEffect(() => {
    const { uPlot } = /** @type {any} */ (globalThis);
    // If it did not load, the tables have the same figures.
    if (!uPlot) return undefined;
    const element = /** @type {HTMLElement} */ (place.current);
    const options = optionsOf({ chart, lines, objective, element, range: () => range.current, onPoint: setAt });
    const made = new uPlot(options, data, element);
    plot.current = made;
    const watch = new ResizeObserver(() => element.clientWidth > 0 && made.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, []);
  useEffect(() => void plot.current?.setData(data), [times, lines]);
  const time = at === null || times[at] === undefined ? "" : clock(times[at], untilMs - sinceMs, true);
  return html`
    <section class="chart" data-chart=${chart.name} aria-labelledby=${`chart-${chart.name}`}>
      <div class="chart-head"><h3 id=${`chart-${chart.name}`}>${chart.title}</h3><span class="chart-note">${time || note}</span>
        <button type="button" class="as-table" aria-expanded=${isOpen} onClick=${() => setIsOpen(!isOpen)}>${_("Table")}<span class="visually-hidden">: ${chart.title}</span></button></div>
      <div ref=${place} class="plot" aria-hidden="true"></div>
      <ul class="legend">${lines.map(({ label, values, color }) => html`
        <li key=${label}><span class=${`swatch ${color.slice(2)}`} aria-hidden="true"></span><span class="legend-label">${label}</span>
          <b>${wordsOf(chart, at === null ? lastOf(values) : values[at])}</b></li>`)}</ul>
      ${isOpen && html`<${Twin} ...${{ chart, times, lines, spanMs: untilMs - sinceMs }} />`}
    </section>`;
}

/**
 * The newest points of a chart as a table, for readers who cannot see the picture.
 * @param {{chart: import("./chart-data.js").Chart, times: number[], lines: import("./chart-data.js").Line[], spanMs: number}} props
 */
function Twin({ chart, times, lines, spanMs }) {
  const newest = times.map((timeMs, index) => ({ timeMs, index })).slice(-TWIN_ROWS).reverse();
  return html`
    <div class="twin scroll" role="region" tabindex="0" aria-label=${_("Table: {title}", { title: chart.title })}><table>
      <thead><tr><th scope="col">${_("Time")}</th>${lines.map(({ label }) => html`<th key=${label} scope="col" class="number">${label}</th>`)}</tr></thead>
      <tbody>${newest.map(({ timeMs, index }) => html`<tr key=${timeMs}>
        <th scope="row">${clock(timeMs, spanMs, true)}</th>
        ${lines.map(({ label, values }) => html`<td key=${label} class="number">${wordsOf(chart, values[index])}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}

/**
 * @param {{chart: import("./chart-data.js").Chart, lines: import("./chart-data.js").Line[], objective: number, element: HTMLElement,
 *   range: () => number[], onPoint: (index: number | null) => void}} given `range`: the first and the last time shown
 */
function optionsOf({ chart, lines, objective, element, range, onPoint }) {
  // Read at each drawing, so that a chart follows the theme.
  const color = (/** @type {string} */ name) => getComputedStyle(element).getPropertyValue(name).trim() || "gray";
  const axis = { stroke: () => color("--body-quiet-color"), grid: { stroke: () => color("--hairline-color"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const spanMs = () => range()[1] - range()[0];
  const top = (/** @type {any} */ plot, /** @type {number} */ min, /** @type {number | null} */ max) => [0, Math.max(max ?? 0, objective) * 1.15 || 1];
  return {
    width: Math.max(element.clientWidth, 100),
    height: HEIGHT_PX,
    padding: [8, 28, 0, 0],
    ms: 1,
    legend: { show: false },
    cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { range }, y: { range: top } },
    axes: [
      { ...axis, space: 64, size: 24, values: (/** @type {any} */ plot, /** @type {number[]} */ splits) => splits.map((timeMs) => clock(timeMs, spanMs())) },
      { ...axis, space: 28, size: 62, ...(chart.isInBytes ? { incrs: POWERS_OF_TWO } : {}), values: (/** @type {any} */ plot, /** @type {number[]} */ splits) => labelsOf(splits, chart.format) },
    ],
    series: [{}, ...lines.map(({ label, color: name }) => ({
      label, stroke: () => color(name), width: 1.5, points: { show: false },
      fill: lines.length === 1 ? () => `color-mix(in srgb, ${color(name)} 14%, transparent)` : undefined,
    }))],
    hooks: {
      setCursor: [(/** @type {any} */ u) => onPoint(u.cursor.idx ?? null)],
      draw: [(/** @type {any} */ u) => drawObjective(u, objective, color("--live-warn"))],
    },
  };
}

/** The words at an axis. Where rounding makes two the same, the upper one stays. @param {number[]} splits @param {(value: number) => string} format */
function labelsOf(splits, format) {
  const labels = splits.map(format);
  return labels.map((label, index) => (label === labels[index + 1] ? "" : label));
}

/** A dashed line at the objective, if it is within the chart. @param {any} u @param {number} objective @param {string} stroke */
function drawObjective(u, objective, stroke) {
  if (objective <= 0 || objective > u.scales.y.max) return;
  const { ctx, bbox } = u;
  const y = u.valToPos(objective, "y", true);
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = stroke;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "right";
  ctx.fillText(_("objective, p99"), bbox.left + bbox.width - 4, y - 5 * devicePixelRatio);
  ctx.restore();
}

/**
 * A time of day, with seconds if they matter.
 * @param {number} timeMs
 * @param {number} spanMs shown
 * @param {boolean} [isExact]
 */
function clock(timeMs, spanMs, isExact = false) {
  const seconds = isExact && spanMs < ONE_DAY_MS / 2 ? /** @type {const} */ ({ second: "2-digit" }) : {};
  return new Date(timeMs).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...seconds });
}

/**
 * @param {import("./chart-data.js").Chart} chart
 * @param {number | null | undefined} value
 */
function wordsOf(chart, value) {
  return value === null || value === undefined ? "–" : chart.format(value);
}
