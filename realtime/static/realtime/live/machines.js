import { count } from "../dashboard-format.js";
import { _ } from "../texts.js";
import { html } from "./html.js";
import { To } from "./links.js";
import { ListView, PAGE_SIZE } from "./list-view.js";
import { OrderButtons } from "./order-dialog.js";
import { useList } from "./use-list.js";

/** Tenants, to suspend and resume them. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Tenants({ page, place, go }) {
  const list = useList(page, page.config.find_path, { kind: "tenant", q: place.query.q ?? "" });
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "slug", label: _("Tenant"), cell: (row) => html`<${To} view="connections" query=${{ tenant: row.slug }}>${row.slug}<//>` },
    { name: "name", label: _("Name"), cell: (row) => row.name },
    { name: "state", label: _("State"), cell: (row) => (row.is_active ? _("active") : _("suspended")) },
    { name: "orders", label: "", cell: (row) => html`<${OrderButtons} names=${[row.is_active ? "suspend" : "resume"]} page=${page}
      target=${{ kind: "tenant", id: row.slug, label: row.slug, tenant: null }} />
      <${OrderButtons} names=${["announce", "disconnect"]} page=${page} target=${{ kind: "everyone", id: row.slug, label: _("everyone on {tenant}", { tenant: row.slug }), tenant: row.slug }} />` },
  ];
  return html`<${ListView} title=${_("Tenants")} name="tenants" list=${list} place=${place} go=${go} columns=${columns} filters=${[{ name: "q", label: _("Search") }]}
    defaultSort="slug" keyOf=${(/** @type {any} */ row) => row.slug} none=${_("No tenant is called like that")} />`;
}

/** Bans in force. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Bans({ page, place, go }) {
  const list = useList(page, "ban/", { page_size: String(PAGE_SIZE), ...place.query });
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "who", label: _("Who"), cell: banned },
    { name: "tenant", label: _("Tenant"), cell: (row) => row.tenant || _("all") },
    { name: "until", label: _("Until"), cell: (row) => new Date(row.until).toLocaleString() },
    { name: "reason", label: _("Reason"), cell: (row) => row.reason || "–" },
    { name: "by", label: _("By"), cell: (row) => row.created_by || "–" },
    { name: "orders", label: "", cell: (row) => html`<${OrderButtons} names=${["unban"]} page=${page}
      target=${{ kind: "ban", id: row.id, label: _("ban of {whom}", { whom: banned(row) }), tenant: null }} />` },
  ];
  return html`<${ListView} title=${_("Bans")} name="bans" list=${list} place=${place} go=${go} columns=${columns} filters=${[]}
    defaultSort="" keyOf=${(/** @type {any} */ row) => String(row.id)} none=${_("Nobody is banned")} />`;
}

/** @param {any} row of a ban */
function banned(row) {
  return row.address || _("user {id}", { id: row.user_id });
}

/** The audit log. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Audit({ page, place, go }) {
  const list = useList(page, "audit/", { page_size: String(PAGE_SIZE), ...place.query });
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "at", label: _("When"), cell: (row) => new Date(row.at).toLocaleString() },
    { name: "actor", label: _("Who"), cell: (row) => `${row.actor.name || row.actor.id} (${row.actor.kind})` },
    { name: "action", label: _("What"), cell: (row) => row.action },
    { name: "target", label: _("To what"), cell: (row) => wordsOf(row.target) },
    { name: "tenant", label: _("Tenant"), cell: (row) => row.tenant || _("all") },
    { name: "reason", label: _("Reason"), cell: (row) => row.reason || "–" },
    { name: "outcome", label: _("Outcome"), cell: (row) => (row.error ? `${row.outcome}: ${row.error}` : row.outcome) },
    { name: "count", label: _("Count"), isNumber: true, cell: (row) => (row.count === null ? "–" : count(row.count)) },
  ];
  const filters = [
    { name: "q", label: _("Search") },
    { name: "actor", label: _("Who") },
    { name: "action", label: _("What") },
    { name: "outcome", label: _("Outcome"), options: [["done", _("done")], ["failed", _("failed")], ["begun", _("begun")]] },
  ];
  const search = new URLSearchParams({ ...place.query, form: "csv" });
  return html`
    <${ListView} title=${_("Audit log")} name="audit" list=${list} place=${place} go=${go} columns=${columns} filters=${filters}
      defaultSort="" keyOf=${(/** @type {any} */ row) => String(row.id)} none=${_("Nothing was done")}>
      <p class="back"><a href=${`${page.api.base}audit/export/?${search}`} download>${_("Export as CSV")}</a></p>
    <//>`;
}

/** @param {Record<string, unknown>} target */
function wordsOf(target) {
  return Object.entries(target).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ") || "–";
}
