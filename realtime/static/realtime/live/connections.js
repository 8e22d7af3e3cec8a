import { bytes, count, duration, milliseconds } from "../dashboard-format.js";
import { _, ngettext } from "../texts.js";
import { html } from "./html.js";
import { To, userTarget } from "./links.js";
import { Age, ListView, PAGE_SIZE } from "./list-view.js";
import { OrderButtons } from "./order-dialog.js";
import { useList } from "./use-list.js";

const DEFAULT_SORT = "-opened_at";
// A list names this many topics of a connection at most.
const TOPICS_IN_LIST = 100;
/** @type {import("./list-view.js").Filter[]} */
const FILTERS = [
  { name: "q", label: _("Search") },
  { name: "user", label: _("User") },
  { name: "tenant", label: _("Tenant") },
  { name: "route", label: _("Route") },
  { name: "address", label: _("Address") },
  { name: "topic", label: _("Topic") },
];

/** Open connections of all nodes. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Connections({ page, place, go }) {
  const list = useList(page, "connections/", { page_size: String(PAGE_SIZE), ...place.query });
  const filters = FILTERS.filter(({ name }) => name !== "tenant" || page.config.operator_is_of_all);
  const target = targetOf(place.query, list.answer?.results ?? [], page.config);
  return html`
    <${ListView} title=${_("Connections")} name="connections" list=${list} place=${place} go=${go} columns=${columnsOf(page)} filters=${filters}
      defaultSort=${DEFAULT_SORT} keyOf=${(/** @type {any} */ row) => row.id} none=${_("Nobody is connected")}>
      <div class="orders"><${OrderButtons} names=${target.names} target=${target.target} page=${page} /></div>
    <//>`;
}

/**
 * The target that the filters of the list name, for the buttons above the list.
 * @param {Record<string, string>} query
 * @param {any[]} rows
 * @param {any} config
 * @returns {{names: string[], target: import("./operations.js").Target}}
 */
export function targetOf({ user, address, topic, tenant: named }, rows, config) {
  const tenant = named ?? (config.operator_is_of_all ? null : config.host_tenant);
  if (user !== undefined) {
    // Orders name a user by id; the filter may be a username.
    const known = rows.find((row) => row.user !== null)?.user ?? (/^\d+$/.test(user) ? { id: user, username: _("user {id}", { id: user }) } : null);
    return known === null ? { names: [], target: userTarget({ id: user, username: user }, "") }
      : { names: ["disconnect", "revoke", "ban"], target: { ...userTarget(known, ""), tenant } };
  }
  if (address !== undefined) return { names: ["disconnect", "ban"], target: { kind: "address", id: address, label: address, tenant } };
  const where = named ?? config.host_tenant;
  if (topic !== undefined) {
    return { names: ["disconnect"], target: { kind: "topic", id: topic, label: _("everyone in {topic}", { topic }), tenant: where } };
  }
  return { names: ["disconnect", "announce"], target: { kind: "everyone", id: "everyone", label: _("everyone on {tenant}", { tenant: where }), tenant: where } };
}

/** One connection. @param {{page: any, id: string}} props */
export function Connection({ page, id }) {
  // The list says how many nodes have answered, and that a connection is gone without an error.
  const list = useList(page, "connections/", { q: id, page_size: "1" });
  const found = list.answer?.results.find((/** @type {any} */ each) => each.id === id);
  const whole = useList(page, found?.topics.length >= TOPICS_IN_LIST ? `connections/${encodeURIComponent(id)}/` : null, {});
  const row = found && { ...found, topics: whole.answer?.topics ?? found.topics };
  return html`
    <section class="module" data-connection aria-labelledby="connection-title">
      <h2 id="connection-title">${_("Connection {id}", { id })}</h2>
      <p class="back"><${To} view="connections">${_("All connections")}<//></p>
      <${Age} list=${list} />
      ${list.answer && !row && html`<p class="empty">${_("It has ended, or its node has not answered.")}</p>`}
      ${row && html`
        <div class="orders">
          <${OrderButtons} names=${["disconnect"]} target=${connectionTarget(row)} page=${page} />
          ${row.user && html`<${OrderButtons} names=${["revoke", "ban"]} target=${userTarget(row.user, row.tenant)} page=${page} />`}
          <${OrderButtons} names=${["ban"]} target=${{ kind: "address", id: row.address, label: row.address, tenant: row.tenant }} page=${page} />
        </div>
        <dl class="facts">${factsOf(row).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
        <h3>${ngettext("{count} topic", "{count} topics", row.topics.length, count(row.topics.length))}</h3>
        <ul class="topics">${row.topics.map((/** @type {string} */ topic) => html`<li key=${topic}>
          <${To} view="topics" id=${topic} query=${{ tenant: row.tenant }}>${topic}<//>
          ${row.user && html`<${OrderButtons} names=${["unsubscribe"]} page=${page}
            target=${{ kind: "subscription", id: topic, label: _("{user}'s subscription to {topic}", { user: row.user.username, topic }), tenant: row.tenant, user: row.user }} />`}
        </li>`)}</ul>`}
    </section>`;
}

/** @param {any} page @returns {import("./list-view.js").Column[]} */
function columnsOf(page) {
  return [
    { name: "id", label: _("Id"), isSorted: true, cell: (row) => html`<${To} view="connections" id=${row.id}>${row.id}<//>` },
    { name: "orders", label: "", cell: (row) => html`<${OrderButtons} names=${["disconnect"]} target=${connectionTarget(row)} page=${page} />` },
    { name: "user", label: _("User"), isSorted: true, cell: (row) => row.user ? html`<${To} view="connections" query=${{ user: String(row.user.id), ...(page.config.operator_is_of_all ? { tenant: row.tenant } : {}) }}>${row.user.username}<//>` : "–" },
    ...(page.config.operator_is_of_all ? [{ name: "tenant", label: _("Tenant"), isSorted: true, cell: (/** @type {any} */ row) => html`<${To} view="connections" query=${{ tenant: row.tenant }}>${row.tenant}<//>` }] : []),
    { name: "route", label: _("Route"), isSorted: true, cell: (row) => html`<${To} view="connections" query=${{ route: row.route }}>${row.route}<//>` },
    { name: "address", label: _("Address"), isSorted: true, cell: (row) => html`<${To} view="connections" query=${{ address: row.address }}>${row.address}<//>` },
    { name: "opened_at", label: _("Open for"), isSorted: true, isNumber: true, cell: (row) => openFor(row) },
    { name: "messages_in", label: _("In"), isSorted: true, isNumber: true, cell: (row) => count(row.messages_in) },
    { name: "messages_out", label: _("Out"), isSorted: true, isNumber: true, cell: (row) => count(row.messages_out) },
    { name: "outbox_bytes", label: _("Waiting"), isSorted: true, isNumber: true, cell: (row) => bytes(row.outbox_bytes) },
    { name: "rtt_ms", label: _("Round trip"), isSorted: true, isNumber: true, cell: (row) => roundTrip(row) },
    { name: "topics", label: _("Topics"), isSorted: true, isNumber: true, cell: (row) => count(row.topics.length) },
    { name: "node", label: _("Node"), isSorted: true, cell: (row) => row.node },
  ];
}

/** @param {any} row @returns {import("./operations.js").Target} */
function connectionTarget(row) {
  return { kind: "connection", id: row.id, label: _("connection {id}", { id: row.id }), tenant: row.tenant };
}

/** @param {any} row */
function openFor(row) {
  return duration((Date.now() - Date.parse(row.opened_at)) / 1000);
}

/** @param {any} row */
function roundTrip(row) {
  return row.rtt_ms === null ? "–" : milliseconds(row.rtt_ms);
}

/** @param {any} row @returns {[string, unknown][]} */
function factsOf(row) {
  return [
    [_("User"), row.user ? `${row.user.username} (${row.user.id})` : _("nobody")],
    [_("Tenant"), row.tenant],
    [_("Route"), row.route],
    [_("Address"), row.address],
    ["User-Agent", row.agent || "–"],
    [_("Opened"), _("{time}, {age} ago", { time: new Date(row.opened_at).toLocaleString(), age: openFor(row) })],
    [_("Messages in"), count(row.messages_in)],
    [_("Messages out"), count(row.messages_out)],
    [_("Waiting for the client"), bytes(row.outbox_bytes)],
    [_("Round trip"), roundTrip(row)],
    [_("Node"), row.node],
  ];
}
