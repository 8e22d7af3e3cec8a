import { bytes, count, duration, milliseconds, percent } from "../dashboard-format.js";
import { _ } from "../texts.js";
import { shortNode } from "./chart-data.js";
import { html } from "./html.js";
import { To } from "./links.js";
import { Age, ListView } from "./list-view.js";
import { OrderButtons } from "./order-dialog.js";
import { LIMITS, stateOf } from "./states.js";
import { useList } from "./use-list.js";
import { useStore } from "./use-store.js";

/** All nodes, those that are late too. @param {{page: any, store: import("./store.js").LiveStore, place: import("./place.js").Place, go: any}} props */
export function Nodes({ page, store, place, go }) {
  useStore(store);
  const nodes = useList(page, "nodes/", {});
  const isOfAll = page.config.operator_is_of_all;
  const figures = new Map((store.beat?.nodes ?? []).map((/** @type {any} */ row) => [row.node, row]));
  const known = (/** @type {any} */ row, /** @type {() => unknown} */ cell) => row.answered ? cell() : "–";
  const figure = (/** @type {any} */ row, /** @type {string} */ name, /** @type {(value: number) => string} */ format) => {
    const value = figures.get(row.id)?.[name];
    return value === undefined || value === null ? "–" : format(value);
  };
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "id", label: _("Node"), cell: (row) => (isOfAll ? html`<${To} view="nodes" id=${row.id}>${row.id}<//>` : row.id) },
    { name: "state", label: _("State"), cell: (row) => html`<${StateOf} state=${stateOf(row, figures.get(row.id))} />` },
    ...(isOfAll ? [
      { name: "host", label: _("Host, process"), cell: (/** @type {any} */ row) => known(row, () => `${row.host}, ${row.pid}`) },
      { name: "version", label: _("Version"), cell: (/** @type {any} */ row) => figures.get(row.id)?.version ?? "–" },
    ] : []),
    { name: "uptime", label: _("Up for"), isNumber: true, cell: (row) => known(row, () => duration(row.uptime_s)) },
    { name: "connections", label: _("Connections"), isNumber: true, cell: (row) => known(row, () => count(row.connections)) },
    { name: "subscriptions", label: _("Subscriptions"), isNumber: true, cell: (row) => known(row, () => count(row.subscriptions)) },
    { name: "in", label: _("In"), isNumber: true, cell: (row) => known(row, () => count(row.messages_in)) },
    { name: "out", label: _("Out"), isNumber: true, cell: (row) => known(row, () => count(row.messages_out)) },
    ...(isOfAll ? [
      { name: "cpu", label: _("CPU"), isNumber: true, cell: (/** @type {any} */ row) => figure(row, "cpu", percent) },
      { name: "memory", label: _("Memory"), isNumber: true, cell: (/** @type {any} */ row) => figure(row, "memory", bytes) },
      { name: "lag", label: _("Loop lag p99"), isNumber: true, cell: (/** @type {any} */ row) => known(row, () => milliseconds(row.loop_lag_ms?.p99_ms ?? 0)) },
      { name: "fill", label: _("Fullest limit"), isNumber: true, cell: (/** @type {any} */ row) => figure(row, "fill", percent) },
    ] : []),
    { name: "orders", label: "", cell: (row) => row.answered && !row.draining && html`<${OrderButtons} names=${["drain"]} page=${page}
      target=${{ kind: "node", id: row.id, label: _("node {id}", { id: row.id }), tenant: null }} />` },
  ];
  return html`<${ListView} title=${_("Nodes")} name="nodes-list" list=${nodes} place=${place} go=${go} columns=${columns} filters=${[]}
    defaultSort="id" keyOf=${(/** @type {any} */ row) => row.id} none=${_("No node has answered")} />`;
}

/** @param {{state: [string, string]}} props */
export function StateOf({ state: [look, name] }) {
  return html`<span class="state"><i class=${`cell ${look}`} aria-hidden="true"></i>${name}</span>`;
}

/** The environment of one node. @param {{page: any, store: import("./store.js").LiveStore, id: string}} props */
export function Node({ page, store, id }) {
  useStore(store);
  const list = useList(page, page.config.node_path, { id });
  const { answer } = list;
  const figures = store.beat?.nodes.find((/** @type {any} */ row) => row.node === id);
  return html`
    <section class="module" data-node aria-labelledby="node-title">
      <h2 id="node-title">${_("Node {id}", { id })}</h2>
      <p class="back"><${To} view="nodes">${_("All nodes")}<//> · <${To} view="overview" query=${{ node: id }}>${_("Its charts")}<//></p>
      <${Age} list=${list} />
      ${answer && html`
        <div class="orders"><${OrderButtons} names=${["drain"]} page=${page} target=${{ kind: "node", id, label: _("node {id}", { id: shortNode(id) }), tenant: null }} /></div>
        <${Facts} facts=${factsOf(answer, figures)} />`}
    </section>
    ${answer && html`
      <div class="pair">
        <section class="module" aria-labelledby="broker-title"><h2 id="broker-title">${_("Broker and database")}</h2><${Facts} facts=${storesOf(answer)} /></section>
        <section class="module" data-limits aria-labelledby="limits-title"><h2 id="limits-title">${_("Limits, how full")}</h2>
          <ul class="meters">${Object.entries(figures?.limits ?? answer.limits).map(([name, fill]) => html`<${Meter} key=${name} name=${name} fill=${fill} />`)}</ul></section>
      </div>
      <section class="module" data-settings aria-labelledby="settings-title"><h2 id="settings-title">${_("Settings in force")}</h2>
        <div class="scroll" role="region" tabindex="0" aria-label=${_("Table: settings in force")}><table>
          <thead><tr><th scope="col">${_("Setting")}</th><th scope="col">${_("Value")}</th><th scope="col">${_("From")}</th></tr></thead>
          <tbody>${answer.settings.map((/** @type {any} */ row) => html`<tr key=${row.name} class=${row.is_default ? "" : "is-changed"}>
            <th scope="row">${row.name}</th><td class="value">${row.value || "–"}</td><td>${row.is_default ? _("default") : _("this site")}</td></tr>`)}</tbody>
        </table></div></section>`}`;
}

/** @param {{facts: [string, unknown][]}} props */
function Facts({ facts }) {
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** @param {{name: string, fill: number}} props */
function Meter({ name, fill }) {
  const label = LIMITS[name] ?? name;
  return html`<li><span>${label}</span><meter min="0" max="1" low="0.7" high="0.9" optimum="0" value=${Math.min(fill, 1)} aria-label=${label}></meter><b>${percent(fill)}</b></li>`;
}

/** @param {any} answer @param {any} figures of the last push, if there are some @returns {[string, unknown][]} */
function factsOf({ versions, process, started_at }, figures) {
  const figure = (/** @type {string} */ name, /** @type {(value: any) => string} */ format) => (figures?.[name] === undefined ? "–" : format(figures[name]));
  return [
    [_("Version"), versions.rockstar],
    [_("Python, Django"), `${versions.python}, ${versions.django}`],
    [_("Host, process"), `${process.host}, ${process.pid}`],
    [_("Worker"), _("{worker} of server {server}", { worker: process.worker, server: process.serve })],
    [_("Started"), new Date(started_at).toLocaleString()],
    [_("Connections"), figure("connections", count)],
    [_("CPU"), figure("cpu", percent)],
    [_("Memory"), figure("memory", bytes)],
    [_("Loop lag, p99 of a minute"), figure("loop_lag", (lag) => milliseconds(lag.p99_ms ?? 0))],
    [_("Bytes that wait for clients"), figure("outbox", bytes)],
  ];
}

/** @param {any} answer @returns {[string, unknown][]} */
function storesOf({ broker, database }) {
  const reached = broker.is_up ? _("Redis or Valkey, reached") : _("Redis or Valkey, not reached");
  return [
    [_("Broker"), broker.kind === "memory" ? _("none: this process is alone") : broker.fault || reached],
    [_("Database"), database.vendor],
    [_("Database threads"), count(database.threads)],
    [_("Work that waits now"), count(database.waiting)],
    [_("Work that had to wait"), _("{count}, {time} in all", { count: count(database.waits), time: duration(database.waited_s) })],
  ];
}
