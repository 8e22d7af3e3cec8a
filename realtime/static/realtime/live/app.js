import { render } from "preact";
import { useEffect, useReducer, useState } from "preact/hooks";

import { _ } from "../texts.js";
import { Connection, Connections } from "./connections.js";
import { Errors } from "./errors.js";
import { OLD_MS, scopeLine } from "./figures.js";
import { html } from "./html.js";
import { Audit, Bans, Tenants } from "./machines.js";
import { Node, Nodes } from "./nodes.js";
import { OrderDialog } from "./order-dialog.js";
import { Overview } from "./overview.js";
import { Palette, usePaletteKey } from "./palette.js";
import { hashOf, placeOf } from "./place.js";
import { coverageOf } from "./store.js";
import { Topic, Topics } from "./topics.js";
import { useSecond } from "./use-list.js";
import { useStore } from "./use-store.js";

const NAMES = {
  overview: _("Overview"), connections: _("Connections"), topics: _("Topics"), nodes: _("Nodes"), errors: _("Errors"), tenants: _("Tenants"),
  bans: _("Bans"), audit: _("Audit"),
};

/**
 * All views of the live page, below its head.
 * @param {HTMLElement} mount
 * @param {any} config
 * @param {import("./api.js").Api} api
 * @param {import("./store.js").LiveStore} store
 */
export function startApp(mount, config, api, store) {
  render(html`<${App} page=${{ api, config, isPaused: () => store.isPaused, round: 0 }} store=${store} />`, mount);
}

/** @param {{page: import("./use-list.js").Page, store: import("./store.js").LiveStore}} props */
function App({ page, store }) {
  const [place, go] = usePlace();
  const [order, setOrder] = useState(/** @type {import("./operations.js").Order | null} */ (null));
  const [outcome, setOutcome] = useState("");
  const [isFinding, setIsFinding] = useState(false);
  usePaletteKey(() => setIsFinding(true));
  const [round, again] = useReducer((number) => number + 1, 0);
  const ordering = { ...page, round, order: setOrder };
  const end = (/** @type {string | null} */ words) => {
    setOrder(null);
    if (words === null) return;
    setOutcome(words);
    again(0);
  };
  return html`
    <${Tabs} view=${place.view} names=${namesOf(page.config)} />
    <div class="below-tabs">
      <${Scope} store=${store} />
      <button type="button" class="find" aria-keyshortcuts="Control+K Meta+K" onClick=${() => setIsFinding(true)}>${_("Find")} <kbd>Ctrl K</kbd></button>
    </div>
    <p class=${outcome ? "outcome" : "visually-hidden"} role="status">${outcome}
      ${outcome && html`<button type="button" onClick=${() => setOutcome("")}>${_("Close")}</button>`}</p>
    <${View} key=${`${place.view}/${place.id ?? ""}`} page=${ordering} store=${store} place=${place} go=${go} />
    ${isFinding && html`<${Palette} page=${page} names=${namesOf(page.config)} onClose=${() => setIsFinding(false)} />`}
    ${order && html`<${OrderDialog} page=${page} order=${order} onEnd=${end} />`}`;
}

/** @param {{page: any, store: import("./store.js").LiveStore, place: import("./place.js").Place, go: any}} props */
function View({ page, store, place, go }) {
  const { view, id } = place;
  if (view === "overview") return html`<${Overview} ...${{ page, store, place, go }} />`;
  if (view === "connections") return id === null ? html`<${Connections} ...${{ page, place, go }} />` : html`<${Connection} ...${{ page, id }} />`;
  if (view === "topics") return id === null ? html`<${Topics} ...${{ page, place, go }} />` : html`<${Topic} ...${{ page, id, place }} />`;
  if (view === "nodes" && id !== null && page.config.operator_is_of_all) return html`<${Node} ...${{ page, store, id }} />`;
  if (view === "nodes") return html`<${Nodes} ...${{ page, store, place, go }} />`;
  if (view === "errors") return html`<${Errors} ...${{ page, place, go }} />`;
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
    <nav class="views" aria-label=${_("Live operations")}><ul>${Object.entries(names).map(([name, label]) => html`
      <li key=${name}><a href=${`#${name}`} aria-current=${name === view ? "page" : undefined}>${label}</a></li>`)}</ul></nav>`;
}

/** Which nodes the figures are of, how old they are, and which nodes are late. @param {{store: import("./store.js").LiveStore}} props */
function Scope({ store }) {
  useStore(store);
  useSecond();
  if (store.beat === null || store.lastPushMs === null) return html`<p class="scope">${_("Waiting for the first figures")}</p>`;
  const { answer, ageMs, late } = coverageOf(store.beat.nodes);
  const wholeMs = ageMs + Date.now() - store.lastPushMs;
  return html`<p class=${`scope ${late.length > 0 || wholeMs > OLD_MS ? "is-doubtful" : ""}`} data-cluster>${scopeLine(answer, wholeMs, late)}</p>`;
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
