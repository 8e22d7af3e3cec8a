import { useRef } from "preact/hooks";

import { count, rate } from "../dashboard-format.js";
import { _ } from "../texts.js";
import { nextPositions, topicKey } from "./figures.js";
import { html } from "./html.js";
import { To, userTarget } from "./links.js";
import { Age, ListView, PAGE_SIZE } from "./list-view.js";
import { OrderButtons } from "./order-dialog.js";
import { useList } from "./use-list.js";

// A page of at most this many topics has the one that is looked for, unless its name is part of very many.
const FIND_SIZE = "500";

/** Topics with subscriptions on any node. @param {{page: any, place: import("./place.js").Place, go: any}} props */
export function Topics({ page, place, go }) {
  const list = useList(page, "topics/", { page_size: String(PAGE_SIZE), sort: "-subscribers", ...place.query });
  const positions = usePositions(list);
  /** @type {import("./list-view.js").Column[]} */
  const columns = [
    { name: "topic", label: _("Topic"), isSorted: true, cell: (row) => html`<${To} view="topics" id=${row.topic} query=${{ tenant: row.tenant }}>${row.topic}<//>` },
    ...(page.config.operator_is_of_all ? [{ name: "tenant", label: _("Tenant"), isSorted: true, cell: (/** @type {any} */ row) => row.tenant }] : []),
    { name: "subscribers", label: _("Subscribers"), isSorted: true, isNumber: true, cell: (row) => html`<${To} view="connections" query=${{ topic: row.topic, ...(page.config.operator_is_of_all ? { tenant: row.tenant } : {}) }}>${count(row.subscribers)}<//>` },
    { name: "users", label: _("Present"), isNumber: true, cell: (row) => count(row.users) },
    { name: "rate", label: _("Rate/s"), isNumber: true, cell: (row) => rateOf(positions, row) },
    { name: "offset", label: _("Offset"), isNumber: true, cell: (row) => count(row.offset) },
    { name: "slow", label: _("Slow readers"), isNumber: true, cell: (row) => count(row.slow) },
  ];
  const filters = [{ name: "q", label: _("Search") }, ...(page.config.operator_is_of_all ? [{ name: "tenant", label: _("Tenant") }] : [])];
  return html`<${ListView} title=${_("Topics")} name="topics" list=${list} place=${place} go=${go} columns=${columns} filters=${filters}
    defaultSort="-subscribers" keyOf=${topicKey} none=${_("No topic has subscribers")} />`;
}

/** One topic, and the users in it. @param {{page: any, id: string, place: import("./place.js").Place}} props */
export function Topic({ page, id, place }) {
  const tenant = place.query.tenant ?? page.config.host_tenant;
  const list = useList(page, "topics/", { q: id, tenant, page_size: FIND_SIZE });
  const presence = useList(page, "presence/", { topic: id, tenant });
  const positions = usePositions(list);
  const row = list.answer?.results.find((/** @type {any} */ each) => each.topic === id && each.tenant === tenant);
  return html`
    <section class="module" data-topic aria-labelledby="topic-title">
      <h2 id="topic-title">${_("Topic {name}", { name: id })}</h2>
      <p class="back"><${To} view="topics">${_("All topics")}<//></p>
      <${Age} list=${list} />
      ${list.answer && !row && html`<p class="empty">${_("Nobody is subscribed to it now.")}</p>`}
      ${row && html`
        <div class="orders"><${OrderButtons} names=${["disconnect"]} page=${page} target=${{ kind: "topic", id, label: _("everyone in {topic}", { topic: id }), tenant }} /></div>
        <dl class="facts">${factsOf(row, positions).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
        <p class="back"><${To} view="connections" query=${{ topic: id, ...(page.config.operator_is_of_all ? { tenant } : {}) }}>${_("Its connections")}<//></p>`}
      <h3>${_("{count} present", { count: presence.answer ? count(presence.answer.count) : "–" })}</h3>
      <p class="fault" role="alert">${presence.error}</p>
      ${presence.answer && presence.answer.count > presence.answer.users.length && html`<p class="empty">${_("Too many to name them.")}</p>`}
      <ul class="topics">${(presence.answer?.users ?? []).map((/** @type {any} */ user) => html`<li key=${user.id}>
        <${To} view="connections" query=${{ user: String(user.id) }}>${user.username}<//> ${count(user.connections)}×
        <${OrderButtons} names=${["unsubscribe"]} page=${page}
          target=${{ kind: "subscription", id, label: _("{user}'s subscription to {topic}", { user: user.username, topic: id }), tenant, user }} />
        <${OrderButtons} names=${["disconnect"]} page=${page} target=${userTarget(user, tenant)} />
      </li>`)}</ul>
    </section>`;
}

/** The rates of the topics of a list, from the change of their offsets since the last read. @param {import("./use-list.js").Read} list */
function usePositions(list) {
  const positions = useRef(/** @type {import("./figures.js").Positions} */ (new Map()));
  const seenMs = useRef(0);
  if (list.answer && list.atMs !== seenMs.current) {
    positions.current = nextPositions(positions.current, list.answer.results, list.atMs);
    seenMs.current = list.atMs;
  }
  return positions.current;
}

/**
 * @param {import("./figures.js").Positions} positions
 * @param {any} row
 */
function rateOf(positions, row) {
  const perS = positions.get(topicKey(row))?.perS ?? null;
  return perS === null ? "–" : rate(perS);
}

/** @param {any} row @param {import("./figures.js").Positions} positions @returns {[string, unknown][]} */
function factsOf(row, positions) {
  return [
    [_("Tenant"), row.tenant],
    [_("Subscribers"), count(row.subscribers)],
    [_("Publications a second"), rateOf(positions, row)],
    [_("Offset"), count(row.offset)],
    [_("Epoch"), row.epoch || "–"],
    [_("Slow readers"), count(row.slow)],
  ];
}
