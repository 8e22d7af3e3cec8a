import { count } from "../dashboard-format.js";
import { _ } from "../texts.js";
import { html } from "./html.js";
import { To } from "./links.js";
import { ListView } from "./list-view.js";
import { useList } from "./use-list.js";

/** The last errors of all nodes, in groups. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Errors({ page, place, go }) {
  const list = useList(page, page.config.errors_path, {});
  const q = (place.query.q ?? "").toLowerCase();
  const rows = (list.answer?.results ?? []).filter((/** @type {any} */ row) => textOf(row).includes(q));
  const shown = list.answer === null ? list : { ...list, answer: { ...list.answer, results: rows, count: rows.length } };
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "code", label: _("Code"), cell: (row) => html`<span class=${row.exception ? "code is-failure" : "code"}>${row.code}</span>` },
    { name: "verb", label: _("Verb"), cell: (row) => row.verb || "–" },
    { name: "exception", label: _("Exception"), cell: (row) => row.exception || "–" },
    { name: "count", label: _("Count"), isNumber: true, cell: (row) => count(row.count) },
    { name: "last", label: _("Last seen"), cell: (row) => when(row.last_s) },
    { name: "first", label: _("First seen"), cell: (row) => when(row.first_s) },
    { name: "route", label: _("Route"), cell: (row) => row.route },
    ...(page.config.operator_is_of_all ? [{ name: "tenant", label: _("Tenant"), cell: (/** @type {any} */ row) => row.tenant }] : []),
    { name: "connection", label: _("Connection, in the log"), cell: (row) => (row.connection_id ? html`<${To} view="connections" id=${row.connection_id}>${row.connection_id}<//>` : "–") },
  ];
  return html`
    <${ListView} title=${_("Last errors")} name="errors-list" list=${shown} place=${place} go=${go} columns=${columns} filters=${[{ name: "q", label: _("Search") }]}
      defaultSort="" keyOf=${(/** @type {any} */ row) => `${row.code} ${row.verb} ${row.exception} ${row.tenant} ${row.route}`} none=${_("No error was answered lately")} isWhole />`;
}

/** The text that a search compares. @param {any} row */
function textOf(row) {
  return [row.code, row.verb, row.exception, row.tenant, row.route, row.connection_id].join(" ").toLowerCase();
}

/** @param {number} seconds Unix time */
function when(seconds) {
  return new Date(seconds * 1000).toLocaleString();
}
