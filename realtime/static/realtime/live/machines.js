import { count } from "../dashboard-format.js";
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
    { name: "slug", label: "Tenant", cell: (row) => html`<${To} view="connections" query=${{ tenant: row.slug }}>${row.slug}<//>` },
    { name: "name", label: "Name", cell: (row) => row.name },
    { name: "state", label: "State", cell: (row) => (row.is_active ? "active" : "suspended") },
    { name: "orders", label: "", cell: (row) => html`<${OrderButtons} names=${[row.is_active ? "suspend" : "resume"]} page=${page}
      target=${{ kind: "tenant", id: row.slug, label: row.slug, tenant: null }} />
      <${OrderButtons} names=${["announce", "disconnect"]} page=${page} target=${{ kind: "everyone", id: row.slug, label: `everyone on ${row.slug}`, tenant: row.slug }} />` },
  ];
  return html`<${ListView} title="Tenants" name="tenants" list=${list} place=${place} go=${go} columns=${columns} filters=${[{ name: "q", label: "Search" }]}
    defaultSort="slug" keyOf=${(/** @type {any} */ row) => row.slug} none="No tenant is called like that" />`;
}

/** Bans in force. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Bans({ page, place, go }) {
  const list = useList(page, "ban/", { page_size: String(PAGE_SIZE), ...place.query });
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "who", label: "Who", cell: (row) => row.address || `user ${row.user_id}` },
    { name: "tenant", label: "Tenant", cell: (row) => row.tenant || "all" },
    { name: "until", label: "Until", cell: (row) => new Date(row.until).toLocaleString() },
    { name: "reason", label: "Reason", cell: (row) => row.reason || "–" },
    { name: "by", label: "By", cell: (row) => row.created_by || "–" },
    { name: "orders", label: "", cell: (row) => html`<${OrderButtons} names=${["unban"]} page=${page}
      target=${{ kind: "ban", id: row.id, label: `ban of ${row.address || `user ${row.user_id}`}`, tenant: null }} />` },
  ];
  return html`<${ListView} title="Bans" name="bans" list=${list} place=${place} go=${go} columns=${columns} filters=${[]}
    defaultSort="" keyOf=${(/** @type {any} */ row) => String(row.id)} none="Nobody is banned" />`;
}

/** The audit log. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Audit({ page, place, go }) {
  const list = useList(page, "audit/", { page_size: String(PAGE_SIZE), ...place.query });
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "at", label: "When", cell: (row) => new Date(row.at).toLocaleString() },
    { name: "actor", label: "Who", cell: (row) => `${row.actor.name || row.actor.id} (${row.actor.kind})` },
    { name: "action", label: "What", cell: (row) => row.action },
    { name: "target", label: "To what", cell: (row) => wordsOf(row.target) },
    { name: "tenant", label: "Tenant", cell: (row) => row.tenant || "all" },
    { name: "reason", label: "Reason", cell: (row) => row.reason || "–" },
    { name: "outcome", label: "Outcome", cell: (row) => (row.error ? `${row.outcome}: ${row.error}` : row.outcome) },
    { name: "count", label: "Count", isNumber: true, cell: (row) => (row.count === null ? "–" : count(row.count)) },
  ];
  const filters = [
    { name: "q", label: "Search" },
    { name: "actor", label: "Who" },
    { name: "action", label: "What" },
    { name: "outcome", label: "Outcome", options: [["done", "done"], ["failed", "failed"], ["begun", "begun"]] },
  ];
  const search = new URLSearchParams({ ...place.query, form: "csv" });
  return html`
    <${ListView} title="Audit log" name="audit" list=${list} place=${place} go=${go} columns=${columns} filters=${filters}
      defaultSort="" keyOf=${(/** @type {any} */ row) => String(row.id)} none="Nothing was done">
      <p class="back"><a href=${`${page.api.base}audit/export/?${search}`} download>Export as CSV</a></p>
    <//>`;
}

/** @param {Record<string, unknown>} target */
function wordsOf(target) {
  return Object.entries(target).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ") || "–";
}
