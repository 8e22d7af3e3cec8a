import { render } from "preact";
import { useEffect, useReducer, useState } from "preact/hooks";

import { Api } from "./api.js";
import { Connection, Connections } from "./connections.js";
import { OLD_MS, scopeLine } from "./figures.js";
import { html } from "./html.js";
import { Audit, Bans, Nodes, Tenants } from "./machines.js";
import { OrderDialog } from "./order-dialog.js";
import { Palette, usePaletteKey } from "./palette.js";
import { hashOf, placeOf } from "./place.js";
import { Topic, Topics } from "./topics.js";
import { useList, useSecond } from "./use-list.js";

const NAMES = { overview: "Overview", connections: "Connections", topics: "Topics", nodes: "Nodes", tenants: "Tenants", bans: "Bans", audit: "Audit" };

/**
 * The part of the live page that lists and orders, on top of the control endpoints.
 * @param {HTMLElement} root of the page
 * @param {() => boolean} isPaused
 */
export function startOperations(root, isPaused) {
  const config = JSON.parse(/** @type {HTMLElement} */ (root.querySelector("#live-config")).textContent ?? "{}");
  const mount = /** @type {HTMLElement} */ (root.querySelector("[data-operations]"));
  const overview = /** @type {HTMLElement} */ (root.querySelector("[data-overview]"));
  const api = new Api(config.api_path, config.csrf_token);
  render(html`<${App} page=${{ api, config, isPaused, round: 0 }} overview=${overview} />`, mount);
}

/** @param {{page: import("./use-list.js").Page, overview: HTMLElement}} props */
function App({ page, overview }) {
  const [place, go] = usePlace();
  const [order, setOrder] = useState(/** @type {import("./operations.js").Order | null} */ (null));
  const [outcome, setOutcome] = useState("");
  const [isFinding, setIsFinding] = useState(false);
  usePaletteKey(() => setIsFinding(true));
  const [round, again] = useReducer((number) => number + 1, 0);
  const ordering = { ...page, round, order: setOrder };
  const nodes = useList(ordering, "nodes/", {});
  useEffect(() => void (overview.hidden = place.view !== "overview"), [place.view]);
  const end = (/** @type {string | null} */ words) => {
    setOrder(null);
    if (words === null) return;
    setOutcome(words);
    again(0);
  };
  return html`
    <${Tabs} view=${place.view} names=${namesOf(page.config)} />
    <div class="below-tabs">
      <${Scope} nodes=${nodes} />
      <button type="button" class="find" aria-keyshortcuts="Control+K Meta+K" onClick=${() => setIsFinding(true)}>Find <kbd>Ctrl K</kbd></button>
    </div>
    <p class=${outcome ? "outcome" : "visually-hidden"} role="status">${outcome}
      ${outcome && html`<button type="button" onClick=${() => setOutcome("")}>Close</button>`}</p>
    <${View} key=${`${place.view}/${place.id ?? ""}`} page=${ordering} place=${place} go=${go} nodes=${nodes} />
    ${isFinding && html`<${Palette} page=${page} names=${namesOf(page.config)} onClose=${() => setIsFinding(false)} />`}
    ${order && html`<${OrderDialog} page=${page} order=${order} onEnd=${end} />`}`;
}

/** @param {{page: any, place: import("./place.js").Place, go: any, nodes: import("./use-list.js").Read}} props */
function View({ page, place, go, nodes }) {
  const { view, id } = place;
  if (view === "connections") return id === null ? html`<${Connections} ...${{ page, place, go }} />` : html`<${Connection} ...${{ page, id }} />`;
  if (view === "topics") return id === null ? html`<${Topics} ...${{ page, place, go }} />` : html`<${Topic} ...${{ page, id, place }} />`;
  if (view === "nodes") return html`<${Nodes} ...${{ page, place, go, nodes }} />`;
  if (view === "tenants" && page.config.operator_is_of_all) return html`<${Tenants} ...${{ page, place, go }} />`;
  if (view === "bans") return html`<${Bans} ...${{ page, place, go }} />`;
  if (view === "audit") return html`<${Audit} ...${{ page, place, go }} />`;
  return null;
}

/** The views that the operator has. @param {any} config @returns {Record<string, string>} */
function namesOf(config) {
  return Object.fromEntries(Object.entries(NAMES).filter(([name]) => name !== "tenants" || config.operator_is_of_all));
}

/** @param {{view: string, names: Record<string, string>}} props */
function Tabs({ view, names }) {
  return html`
    <nav class="views" aria-label="Live operations"><ul>${Object.entries(names).map(([name, label]) => html`
      <li key=${name}><a href=${`#${name}`} aria-current=${name === view ? "page" : undefined}>${label}</a></li>`)}</ul></nav>`;
}

/** Which nodes answer, and which do not. @param {{nodes: import("./use-list.js").Read}} props */
function Scope({ nodes }) {
  useSecond();
  if (nodes.answer === null) return html`<p class="scope is-doubtful">${nodes.error && `The nodes cannot be asked: ${nodes.error}`}</p>`;
  const late = nodes.answer.results.filter((/** @type {any} */ row) => !row.answered).map((/** @type {any} */ row) => row.id);
  const ageMs = Date.now() - nodes.atMs;
  return html`<p class=${`scope ${late.length > 0 || ageMs > OLD_MS ? "is-doubtful" : ""}`} data-cluster>${scopeLine(nodes.answer, ageMs, late)}</p>`;
}

/** The place in the address. @returns {[import("./place.js").Place, (place: import("./place.js").Place) => void]} */
function usePlace() {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const follow = () => setPlace(placeOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return [place, (next) => void (location.hash = hashOf(next))];
}
