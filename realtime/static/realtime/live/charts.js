import { render } from "preact";
import { useEffect, useReducer, useRef, useState } from "preact/hooks";

import { CHARTS, hasValues, pointsOf, RANGES } from "./chart-data.js";
import { html } from "./html.js";

const HEIGHT_PX = 150;
const TWIN_ROWS = 30;
const SYNC = "live";

/**
 * The charts below the figures. They are drawn again with each push while they are seen.
 * @param {HTMLElement} root of the page
 * @param {import("../dashboard-series.js").Series} series
 */
export function startCharts(root, series) {
  const mount = /** @type {HTMLElement} */ (root.querySelector("[data-charts]"));
  render(html`<${Charts} root=${root} series=${series} />`, mount);
}

/** @param {{root: HTMLElement, series: import("../dashboard-series.js").Series}} props */
function Charts({ root, series }) {
  const [rangeS, setRangeS] = useState(RANGES[0][0]);
  const [, draw] = useReducer((number) => number + 1, 0);
  useEffect(() => {
    const drawIfSeen = () => document.hidden || draw(0);
    root.addEventListener("live-beat", drawIfSeen);
    return () => root.removeEventListener("live-beat", drawIfSeen);
  }, []);
  const untilMs = series.samples.at(-1)?.timeMs ?? Date.now();
  const sinceMs = untilMs - rangeS * 1000;
  const drawn = CHARTS.map((chart) => ({ chart, points: pointsOf(series.samples, chart, sinceMs, untilMs) })).filter(({ points }) => hasValues(points));
  return html`
    <div class="charts-head">
      <label>Range <select value=${rangeS} onChange=${(/** @type {any} */ event) => setRangeS(Number(event.target.value))}>
        ${RANGES.map(([seconds, label]) => html`<option key=${seconds} value=${seconds}>${label}</option>`)}</select></label>
      <span>Charts begin when this page was opened.</span>
    </div>
    <div class="charts">${drawn.map(({ chart, points }) => html`
      <${ChartCard} key=${chart.name} chart=${chart} points=${points} sinceMs=${sinceMs} untilMs=${untilMs} />`)}</div>`;
}

/** @param {{chart: import("./chart-data.js").Chart, points: (number | null)[][], sinceMs: number, untilMs: number}} props */
function ChartCard({ chart, points, sinceMs, untilMs }) {
  const [isOpen, setIsOpen] = useState(false);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const range = useRef([sinceMs, untilMs]);
  range.current = [sinceMs, untilMs];
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (place.current);
    const made = new /** @type {any} */ (globalThis).uPlot(optionsOf(chart, element, () => range.current), points, element);
    plot.current = made;
    const watch = new ResizeObserver(() => element.clientWidth > 0 && made.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, []);
  useEffect(() => void plot.current?.setData(points), [points]);
  return html`
    <section class="chart" data-chart=${chart.name} aria-labelledby=${`chart-${chart.name}`}>
      <h3 id=${`chart-${chart.name}`}>${chart.title}</h3>
      <div ref=${place} class="plot" aria-hidden="true"></div>
      <details class="twin" onToggle=${(/** @type {any} */ event) => setIsOpen(event.target.open)}>
        <summary>As a table<span class="visually-hidden">: ${chart.title}</span></summary>
        ${isOpen && html`<${Twin} chart=${chart} points=${points} />`}
      </details>
    </section>`;
}

/** The newest points of a chart as a table, for readers who cannot see the picture. @param {{chart: import("./chart-data.js").Chart, points: (number | null)[][]}} props */
function Twin({ chart, points: [times, ...series] }) {
  const newest = times.map((timeMs, index) => ({ timeMs: Number(timeMs), index })).slice(-TWIN_ROWS).reverse();
  return html`
    <div class="scroll" role="region" tabindex="0" aria-label=${chart.title}><table>
      <thead><tr><th scope="col">Time</th>${chart.series.map(({ label }) => html`<th key=${label} scope="col" class="number">${label}</th>`)}</tr></thead>
      <tbody>${newest.map(({ timeMs, index }) => html`<tr key=${timeMs}>
        <th scope="row">${new Date(timeMs).toLocaleTimeString()}</th>
        ${series.map((values, at) => html`<td key=${at} class="number">${wordsOf(chart, values[index])}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}

/**
 * @param {import("./chart-data.js").Chart} chart
 * @param {HTMLElement} element
 * @param {() => number[]} range first and last time shown
 */
function optionsOf(chart, element, range) {
  // Read at each drawing, so that a chart follows the theme.
  const color = (/** @type {string} */ name) => () => getComputedStyle(element).getPropertyValue(name).trim() || "gray";
  const axis = { stroke: color("--body-quiet-color"), grid: { stroke: color("--hairline-color"), width: 1 }, ticks: { show: false }, font: "11px sans-serif" };
  return {
    width: Math.max(element.clientWidth, 100),
    height: HEIGHT_PX,
    ms: 1,
    cursor: { sync: { key: SYNC }, drag: { x: false, y: false } },
    scales: { x: { range: () => range() }, y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number | null} */ max) => [0, Math.max(max ?? 0, 1) * 1.1] } },
    axes: [{ ...axis, space: 72, size: 30, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(clock) }, { ...axis, size: 64, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(chart.format) }],
    series: [
      { value: (/** @type {any} */ _, /** @type {number | null} */ timeMs) => (timeMs === null ? "–" : new Date(timeMs).toLocaleTimeString()) },
      ...chart.series.map((each) => ({
        label: each.label, stroke: color(each.color), width: 1.5, points: { show: false },
        value: (/** @type {any} */ _, /** @type {number | null} */ value) => wordsOf(chart, value),
      })),
    ],
  };
}

/** @param {number} timeMs */
function clock(timeMs) {
  return new Date(timeMs).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/**
 * @param {import("./chart-data.js").Chart} chart
 * @param {number | null | undefined} value
 */
function wordsOf(chart, value) {
  return value === null || value === undefined ? "–" : chart.format(value);
}
