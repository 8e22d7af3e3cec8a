import { useEffect, useRef } from "preact/hooks";

import { count, milliseconds, rate } from "../dashboard-format.js";
import { HEIGHT, sparklinePaths, WIDTH } from "../dashboard-sparkline.js";
import { _, ngettext } from "../texts.js";
import { RANGES, shortNode } from "./chart-data.js";
import { Charts } from "./charts.js";
import { Health } from "./health.js";
import { html } from "./html.js";
import { To } from "./links.js";
import { changed } from "./place.js";
import { evenly } from "./series.js";
import { useStore } from "./use-store.js";

const SPARK_MS = 300_000;
const SPARK_POINTS = 30;
const UNKNOWN = "-";
const COLUMNS = [_("Open"), _("Topics"), _("In/s"), _("Out/s"), _("Errors/s"), _("Opened"), _("Refused"), _("Errors"), _("Dropped")];
const REASONS = { closed: _("Closed, by code"), errors: _("Errors, by code"), refused: _("Refused, by status") };

/** The figures of the place's filters. @param {Record<string, string>} query @returns {import("./store.js").Wanted} */
export function wantedOf({ tenant = "", route = "", node = "", range }) {
  const rangeS = Number(range);
  return { tenant, route, node, rangeS: RANGES.some(([seconds]) => seconds === rangeS) ? rangeS : RANGES[0][0] };
}

/** @param {{page: import("./use-list.js").Page, store: import("./store.js").LiveStore, place: import("./place.js").Place, go: any}} props */
export function Overview({ page, store, place, go }) {
  useStore(store);
  const wanted = wantedOf(place.query);
  useEffect(() => store.want(wanted), [wanted.tenant, wanted.route, wanted.node, wanted.rangeS]);
  const { beat, samples } = store;
  const untilMs = samples.at(-1)?.timeMs ?? Date.now();
  const isFiltered = wanted.tenant !== "" || wanted.route !== "";
  return html`
    <div data-overview>
      <${Filters} page=${page} beat=${beat} wanted=${wanted} onChange=${(/** @type {Record<string, string>} */ changes) => go(changed(place, changes))} />
      <p class="fault" role="alert">${store.error}</p>
      <div class="figures">
        ${beat && html`<${Cards} beat=${beat} samples=${samples} config=${page.config} />`}
        <${Charts} samples=${samples} sinceMs=${untilMs - wanted.rangeS * 1000} untilMs=${untilMs} isFiltered=${isFiltered} config=${page.config} />
        ${page.config.operator_is_of_all && html`<${Health} page=${page} />`}
        ${beat && html`<${Routes} beat=${beat} place=${place} config=${page.config} /><${Reasons} reasons=${beat.reasons} meanings=${page.config.close_meanings} />`}
      </div>
    </div>`;
}

/**
 * The choice of node, tenant, route and range.
 * @param {{page: any, beat: any, wanted: import("./store.js").Wanted, onChange: (changes: Record<string, string>) => void}} props
 */
function Filters({ page, beat, wanted, onChange }) {
  const nodes = (beat?.nodes ?? []).map((/** @type {any} */ row) => [row.node, shortNode(row.node)]);
  // A push of one tenant names no others: those that were there before stay in the choice.
  const seen = useRef({ tenants: /** @type {string[]} */ ([]), routes: /** @type {string[]} */ ([]) });
  if (beat !== null && wanted.tenant === "") seen.current.tenants = beat.tenants.map((/** @type {any} */ row) => row.tenant);
  if (beat !== null && wanted.route === "") seen.current.routes = [...new Set(beat.routes.map((/** @type {any} */ row) => row.route))].sort();
  const [tenants, routes] = [seen.current.tenants, seen.current.routes].map((names) => names.map((name) => [name, nameOf(name)]));
  return html`
    <form class="choices" aria-label=${_("Figures shown")} onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <${Choice} name="node" label=${_("Node")} all=${_("All nodes")} value=${wanted.node} options=${nodes} onChange=${(/** @type {string} */ node) => onChange({ node })} />
      ${page.config.operator_is_of_all && html`<${Choice} name="tenant" label=${_("Tenant")} all=${_("All tenants")} value=${wanted.tenant} options=${tenants} onChange=${(/** @type {string} */ tenant) => onChange({ tenant })} />`}
      <${Choice} name="route" label=${_("Route")} all=${_("All routes")} value=${wanted.route} options=${routes} onChange=${(/** @type {string} */ route) => onChange({ route })} />
      <fieldset class="ranges"><legend class="visually-hidden">${_("Range")}</legend>${RANGES.map(([seconds, label]) => html`
        <label key=${seconds}><input type="radio" name="range" value=${seconds} checked=${wanted.rangeS === seconds}
          onChange=${() => onChange({ range: String(seconds) })} /><span>${label}</span></label>`)}</fieldset>
    </form>`;
}

/** @param {{name: string, label: string, all: string, value: string, options: [string, string][], onChange: (value: string) => void}} props */
function Choice({ name, label, all, value, options, onChange }) {
  const isKnown = value === "" || options.some(([each]) => each === value);
  return html`
    <label class="choice"><span>${label}</span>
      <select value=${value} data-filter=${name} onChange=${(/** @type {any} */ event) => onChange(event.target.value)}>
        <option value="">${all}</option>
        ${!isKnown && html`<option value=${value}>${value}</option>`}
        ${options.map(([each, shown]) => html`<option key=${each} value=${each}>${shown}</option>`)}
      </select></label>`;
}

/** @param {{beat: any, samples: import("./series.js").Sample[], config: any}} props */
function Cards({ beat, samples, config }) {
  const { totals, point } = beat;
  const known = (/** @type {number | undefined} */ value, /** @type {(value: number) => string} */ format) => (value === undefined ? "–" : format(value));
  const nodes = beat.nodes.filter((/** @type {any} */ row) => row.loop_lag && (beat.node === null || row.node === beat.node));
  const slowest = nodes.toSorted((/** @type {any} */ one, /** @type {any} */ other) => other.loop_lag.p99_ms - one.loop_lag.p99_ms)[0];
  const cards = [
    { name: "connections", title: _("Connections"), spark: "connections", figure: count(totals.active_connections), unit: "",
      note: _("{count} opened in all", { count: count(totals.opened) }) },
    { name: "in", title: _("Messages in"), spark: "messages_in", figure: known(totals.in_per_s, rate), unit: "/s",
      note: _("{count} in all", { count: count(totals.messages_in) }) },
    { name: "out", title: _("Messages out"), spark: "messages_out", figure: known(totals.out_per_s, rate), unit: "/s",
      note: _("{count} in all", { count: count(totals.messages_out) }) },
    { name: "errors", title: _("Errors"), spark: "errors", figure: known(totals.errors_per_s, rate), unit: "/s",
      note: _("{count} in all", { count: count(totals.errors) }) },
    ...(nodes.length === 0 ? [] : [
      { name: "latency", title: _("Answers, p99"), spark: "request.p99", figure: known(point["request.p99"], milliseconds), unit: "",
        note: config.objective_ms > 0 ? _("objective {time}", { time: milliseconds(config.objective_ms) }) : _("of the last 2 s") },
      { name: "lag", title: _("Loop lag, p99"), spark: `lag.${beat.node ?? slowest?.node}`, figure: milliseconds(slowest.loop_lag.p99_ms ?? 0), unit: "", note: _("node {id}", { id: shortNode(slowest.node) }) },
    ]),
  ];
  return html`<section class="cards" aria-label=${_("Now")}>${cards.map((card) => html`<${Card} key=${card.name} card=${card} samples=${samples} />`)}</section>`;
}

/** @param {{card: any, samples: import("./series.js").Sample[]}} props */
function Card({ card, samples }) {
  const untilMs = samples.at(-1)?.timeMs ?? 0;
  const values = card.spark === null ? [] : evenly(samples, card.spark, untilMs - SPARK_MS, untilMs, SPARK_POINTS);
  const { line, area } = sparklinePaths(values);
  return html`
    <article class="card" data-card=${card.name}>
      <h2>${card.title}</h2>
      <p class="figure"><span data-figure>${card.figure}</span>${card.unit && html` <small>${card.unit}</small>`}</p>
      <svg class="spark" viewBox=${`0 -2 ${WIDTH} ${HEIGHT + 4}`} preserveAspectRatio="none" aria-hidden="true">
        <path class="area" d=${area} /><path class="line" d=${line} /></svg>
      <p class="note" data-note>${card.note}</p>
    </article>`;
}

/** Tenants and their routes; a name leads to the figures of it alone. @param {{beat: any, place: import("./place.js").Place, config: any}} props */
function Routes({ beat, place, config }) {
  const rows = beat.tenants.flatMap((/** @type {any} */ sums) => [sums, ...beat.routes.filter((/** @type {any} */ row) => row.tenant === sums.tenant)]);
  const left = beat.left_out.tenants + beat.left_out.routes;
  const to = (/** @type {any} */ row) => ({ ...place.query, ...(config.operator_is_of_all ? { tenant: row.tenant } : {}), route: row.route ?? "" });
  const cells = (/** @type {any} */ row) => [
    count(row.active_connections), count(row.subscriptions), rateOrNone(row.in_per_s), rateOrNone(row.out_per_s), rateOrNone(row.errors_per_s),
    count(row.opened), count(row.refused), count(row.errors), count(row.dropped),
  ];
  return html`
    <section class="module" data-routes aria-labelledby="routes-title">
      <h2 id="routes-title">${_("Tenants and routes")}</h2>
      <div class="scroll" role="region" tabindex="0" aria-label=${_("Table: tenants and routes")}><table>
        <thead><tr><th scope="col">${_("Tenant, route")}</th>${COLUMNS.map((label) => html`
          <th key=${label} scope="col" class="number">${label}</th>`)}</tr></thead>
        <tbody>${rows.map((/** @type {any} */ row) => html`<tr key=${`${row.tenant} ${row.route ?? ""}`} class=${row.route === undefined ? "sums" : "part"}>
          <th scope="row">${row.tenant === UNKNOWN ? nameOf(row.route ?? row.tenant) : html`<${To} view="overview" query=${to(row)}>${nameOf(row.route ?? row.tenant)}<//>`}</th>
          ${cells(row).map((text, index) => html`<td key=${index} class=${`number ${text === "0" ? "zero" : ""}`}>${text}</td>`)}</tr>`)}</tbody>
      </table></div>
      ${left > 0 && html`<p class="age">${ngettext("{count} less busy row is not shown.", "{count} less busy rows are not shown.", left, count(left))}</p>`}
    </section>`;
}

/** @param {{reasons: Record<string, Record<string, number>>, meanings: Record<string, string>}} props */
function Reasons({ reasons, meanings }) {
  return html`<div class="reasons">${Object.entries(REASONS).map(([name, title]) => {
    const rows = Object.entries(reasons[name]).sort(([, one], [, other]) => other - one);
    return html`
      <section class="module" key=${name} data-reasons=${name} aria-labelledby=${`reasons-${name}`}>
        <h2 id=${`reasons-${name}`}>${title}</h2>
        ${rows.length === 0 ? html`<p class="empty">${_("None yet")}</p>` : html`<table>
          <thead class="visually-hidden"><tr><th scope="col">${_("Code")}</th><th scope="col">${_("Count")}</th></tr></thead>
          <tbody>${rows.map(([code, number]) => html`<tr key=${code}><th scope="row">${name === "closed" && meanings[code] ? `${code} ${meanings[code]}` : code}</th>
            <td class="number">${count(number)}</td></tr>`)}</tbody></table>`}
      </section>`;
  })}</div>`;
}

/** @param {number | undefined} perS */
function rateOrNone(perS) {
  return perS === undefined ? "–" : rate(perS);
}

/** @param {string} label of a tenant or route; that of sockets that asked for an unknown one too */
function nameOf(label) {
  return label === UNKNOWN ? _("unknown") : label;
}
