import { _ } from "../texts.js";
import { shortNode } from "./chart-data.js";
import { html } from "./html.js";
import { To } from "./links.js";
import { Age } from "./list-view.js";
import { STATES, summaryOf } from "./states.js";
import { useList } from "./use-list.js";

const EVERY_MS = 60_000;

/** How each node was over a day. @param {{page: any}} props */
export function Health({ page }) {
  const list = useList(page, page.config.health_path, {}, EVERY_MS);
  const { answer } = list;
  return html`
    <section class="module health" data-health aria-labelledby="health-title">
      <h2 id="health-title">${_("Nodes, last 24 h")}</h2>
      ${answer === null ? html`<${Age} list=${list} />` : html`
        <ul>${answer.nodes.map((/** @type {any} */ row) => html`<${Strip} key=${row.node} row=${row} sinceMs=${answer.since * 1000} cellMs=${answer.cell_s * 1000} />`)}</ul>
        ${answer.nodes.length === 0 && html`<p class="empty">${_("No sample was stored yet.")}</p>`}
        <p class="keys" aria-hidden="true">${Object.values(STATES).map(([look, name]) => html`<span key=${look}><i class=${`cell ${look}`}></i>${name}</span>`)}</p>`}
    </section>`;
}

/** @param {{row: {node: string, worker: number, cells: string}, sinceMs: number, cellMs: number}} props */
function Strip({ row, sinceMs, cellMs }) {
  const clock = (/** @type {number} */ index) => new Date(sinceMs + index * cellMs).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return html`
    <li><span class="name"><${To} view="nodes" id=${row.node}>${shortNode(row.node)}<//></span>
      <span class="cells" aria-hidden="true">${[...row.cells].map((state, index) => html`<i key=${index} class=${`cell ${STATES[state][0]}`} title=${`${clock(index)} ${STATES[state][1]}`}></i>`)}</span>
      <span class="sum">${summaryOf(row.cells)}</span></li>`;
}
