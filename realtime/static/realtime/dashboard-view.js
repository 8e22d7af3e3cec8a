import { bytes, count, duration, milliseconds, rate } from "./dashboard-format.js";
import { sparkline } from "./dashboard-sparkline.js";
import { fillTable, setText } from "./dashboard-table.js";

/** Samples in the small chart of a card: five minutes with a push every 2 s. */
const SAMPLES = 150;
const UNKNOWN = "-";
const CHARTS = ["connections", "in", "out", "errors"];

/**
 * Metrics as the server counts them, with their rates.
 * @typedef {{active_connections: number, opened: number, messages_in: number, messages_out: number, bytes_in: number,
 *   bytes_out: number, subscriptions: number, dropped: number, errors: number, refused: number, opened_per_s: number,
 *   in_per_s: number, out_per_s: number, bytes_in_per_s: number, bytes_out_per_s: number, errors_per_s: number}} Figures
 * @typedef {{node: string, uptime_s: number, active_connections: number, memory_mb: number | null,
 *   loop_lag: {last_ms: number, p99_ms: number, max_ms: number}}} NodeFigures
 * @typedef {Record<"closed" | "errors" | "refused", Record<string, number>>} Reasons
 * @typedef {{tenant: string | null, interval_s: number, nodes: NodeFigures[], totals: Figures, reasons: Reasons,
 *   tenants: (Figures & {tenant: string})[], routes: (Figures & {tenant: string, route: string})[]}} Beat
 */

/** @type {import("./dashboard-table.js").Column<NodeFigures>[]} */
const NODE_COLUMNS = [
  { text: (row) => row.node, isHeader: true },
  { text: (row) => duration(row.uptime_s), isNumber: true },
  { text: (row) => count(row.active_connections), isNumber: true },
  { text: (row) => (row.memory_mb === null ? "–" : `${count(row.memory_mb)} MiB`), isNumber: true },
  { text: (row) => milliseconds(row.loop_lag.last_ms), isNumber: true },
  { text: (row) => milliseconds(row.loop_lag.p99_ms), isNumber: true },
  { text: (row) => milliseconds(row.loop_lag.max_ms), isNumber: true },
];

/** A row without a route holds the sums of a tenant. @type {import("./dashboard-table.js").Column<Figures & {tenant: string, route?: string}>[]} */
const ROUTE_COLUMNS = [
  { text: (row) => nameOf(row.route ?? row.tenant), isHeader: true },
  { text: (row) => count(row.active_connections), isNumber: true },
  { text: (row) => count(row.subscriptions), isNumber: true },
  { text: (row) => rate(row.in_per_s), isNumber: true },
  { text: (row) => rate(row.out_per_s), isNumber: true },
  { text: (row) => rate(row.errors_per_s), isNumber: true },
  { text: (row) => count(row.opened), isNumber: true },
  { text: (row) => count(row.refused), isNumber: true },
  { text: (row) => count(row.errors), isNumber: true },
  { text: (row) => count(row.dropped), isNumber: true },
];

/** Shows the data of a push on the page. */
export class DashboardView {
  /**
   * @param {HTMLElement} root
   * @param {import("./dashboard-series.js").Series} series what the charts show
   */
  constructor(root, series) {
    this.root = root;
    this.series = series;
    this.draw = new Map(
      CHARTS.map((name) => [name, sparkline(this.#find(`[data-card=${name}] [data-spark]`))]),
    );
    this.closeMeanings = JSON.parse(this.#find("#close-meanings").textContent ?? "{}");
  }

  /** @param {Beat} beat its metrics must be in the series already */
  show(beat) {
    this.#showScope(beat);
    this.#showCards(beat.totals);
    this.#showCharts();
    this.#showNodes(beat.nodes);
    this.#showRoutes(beat);
    this.#showReasons(beat.reasons);
  }

  /** @param {import("./dashboard-status.js").Status} status */
  showStatus({ name, text, isOld }) {
    this.#find("[data-status]").dataset.status = name;
    setText(this.#find("[data-status-text]"), text);
    this.root.classList.toggle("is-old", isOld);
  }

  /** @param {string} text read out by screen readers, politely */
  announce(text) {
    setText(this.#find("[data-summary]"), text);
  }

  /** The metrics as a sentence. */
  summary() {
    const now = this.series.samples.at(-1)?.values;
    if (!now) return "";
    const messages = `Messages per second: ${rate(now.in)} in, ${rate(now.out)} out`;
    return `Connections: ${count(now.connections)}. ${messages}. Errors per second: ${rate(now.errors)}.`;
  }

  /** Say which tenants and nodes the figures are of. @param {Beat} beat */
  #showScope({ tenant, nodes }) {
    setText(this.#find("[data-figures-of]"), nodes.length === 1 ? `These figures are of node ${nodes[0].node}.` : "");
    const tag = this.#find("[data-scope]");
    tag.hidden = false;
    setText(tag, tenant ?? "all tenants");
  }

  /** @param {Figures} totals */
  #showCards(totals) {
    this.#showCard("connections", count(totals.active_connections), [
      `${count(totals.opened)} opened`,
      `${count(totals.refused)} refused`,
      `${count(totals.subscriptions)} topics`,
    ]);
    this.#showCard("in", rate(totals.in_per_s), [
      `${count(totals.messages_in)} in all`,
      `${bytes(totals.bytes_in_per_s)}/s`,
    ]);
    this.#showCard("out", rate(totals.out_per_s), [
      `${count(totals.messages_out)} in all`,
      `${bytes(totals.bytes_out_per_s)}/s`,
    ]);
    this.#showCard("errors", rate(totals.errors_per_s), [
      `${count(totals.errors)} in all`,
      `${count(totals.dropped)} messages dropped`,
    ]);
  }

  /**
   * @param {string} name
   * @param {string} figure
   * @param {string[]} notes
   */
  #showCard(name, figure, notes) {
    setText(this.#find(`[data-card=${name}] [data-figure]`), figure);
    setText(this.#find(`[data-card=${name}] [data-note]`), notes.join(" · "));
  }

  #showCharts() {
    for (const [name, draw] of this.draw) {
      const peak = draw(this.series.of(name, SAMPLES));
      setText(this.#find(`[data-card=${name}] [data-peak]`), `peak ${name === "connections" ? count(peak) : rate(peak)}`);
    }
  }

  /** @param {NodeFigures[]} nodes */
  #showNodes(nodes) {
    const section = this.#find("[data-nodes]");
    section.hidden = nodes.length === 0;
    fillTable(bodyOf(section), nodes, NODE_COLUMNS, (row) => row.node);
  }

  /** @param {Beat} beat */
  #showRoutes({ tenants, routes }) {
    const rows = tenants.flatMap((sums) => [sums, ...routes.filter((row) => row.tenant === sums.tenant)]);
    fillTable(
      bodyOf(this.#find("[data-routes]")),
      /** @type {(Figures & {tenant: string, route?: string})[]} */ (rows),
      ROUTE_COLUMNS,
      (row) => `${row.tenant} ${row.route ?? ""}`,
      (row) => (row.route === undefined ? "sums" : "part"),
    );
  }

  /** @param {Reasons} reasons */
  #showReasons(reasons) {
    for (const [name, counts] of Object.entries(reasons)) {
      const section = this.#find(`[data-reasons=${name}]`);
      const rows = Object.entries(counts).sort(([, a], [, b]) => b - a);
      const meanings = name === "closed" ? this.closeMeanings : {};
      fillTable(
        bodyOf(section),
        rows,
        [
          { text: ([code]) => (meanings[code] ? `${code} ${meanings[code]}` : code), isHeader: true },
          { text: ([, number]) => count(number), isNumber: true },
        ],
        ([code]) => code,
      );
      section.classList.toggle("is-empty", rows.length === 0);
    }
  }

  /**
   * @param {string} selector of an element that the template has
   * @returns {any}
   */
  #find(selector) {
    const found = this.root.querySelector(selector);
    if (found === null) throw new Error(`The page has no ${selector}.`);
    return found;
  }
}

/** @param {string} label of a tenant or route; empty for sockets that asked for an unknown one */
function nameOf(label) {
  return label === UNKNOWN ? "unknown" : label;
}

/** @param {Element} section */
function bodyOf(section) {
  return /** @type {HTMLTableSectionElement} */ (section.querySelector("tbody"));
}
