import { _ } from "../texts.js";
import { hashOf } from "./place.js";

/**
 * An entry that the palette found, as plain values.
 * @typedef {{key: string, kind: string, label: string, hint: string, hash: string}} Entry
 */

/**
 * @param {{views?: [string, string][], users?: any[], tenants?: any[], topics?: any[], connections?: any[]}} found
 * @param {boolean} isOfAll whether the operator acts on all tenants
 * @returns {Entry[]} views first, connections last
 */
export function entriesOf({ views = [], users = [], tenants = [], topics = [], connections = [] }, isOfAll) {
  const where = (/** @type {string} */ tenant) => (isOfAll ? { tenant } : {});
  return [
    ...views.map(([view, label]) => entry(_("View"), view, label, "", { view, id: null, query: {} })),
    ...users.map((user) => entry(_("User"), String(user.id), user.username, _("id {id}", { id: user.id }), { view: "connections", id: null, query: { user: String(user.id) } })),
    ...tenants.map((row) => entry(_("Tenant"), row.slug, row.slug, row.is_active ? row.name : _("{name}, suspended", { name: row.name }), { view: "tenants", id: null, query: { q: row.slug } })),
    ...topics.map((row) => entry(_("Topic"), `${row.tenant} ${row.topic}`, row.topic, isOfAll ? row.tenant : "", { view: "topics", id: row.topic, query: where(row.tenant) })),
    ...connections.map((row) => entry(_("Connection"), row.id, row.id, [row.user?.username, row.route, row.address].filter(Boolean).join(", "), { view: "connections", id: row.id, query: {} })),
  ];
}

/**
 * The entry that the arrow keys lead to; they go round.
 * @param {number} index
 * @param {number} step
 * @param {number} length
 */
export function moved(index, step, length) {
  return length === 0 ? 0 : (index + step + length) % length;
}

/**
 * @param {Record<string, string>} names of the views
 * @param {string} text
 * @returns {[string, string][]} those that begin with `text`
 */
export function viewsLike(names, text) {
  return Object.entries(names).filter(([, label]) => label.toLowerCase().startsWith(text.toLowerCase()));
}

/**
 * @param {string} kind
 * @param {string} id
 * @param {string} label
 * @param {string} hint
 * @param {import("./place.js").Place} place
 * @returns {Entry}
 */
function entry(kind, id, label, hint, place) {
  return { key: `${kind} ${id}`, kind, label, hint, hash: hashOf(place) };
}
