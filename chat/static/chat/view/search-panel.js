import { useLayoutEffect } from "preact/hooks";
import { _ } from "realtime/texts";

import { dayText, nameOf, summaryOf, timeText } from "../lib/format.js";
import { marked } from "../lib/search.js";
import { html } from "./html.js";
import { CloseIcon, IconButton } from "./icons.js";
import { SearchField, useAnswer } from "./search-field.js";
/** @import {ChatStore, Message, Shown} from "../types.js" */

const PAGE = 25;
const FILTERS = ["from:", "in:", "before:", "after:", "has:"];

/** Search in the messages of all rooms of the reader. @param {Shown} props */
export function SearchPanel({ store, onClose }) {
  const query = store.searchFor.value;
  const { messages, hasMore, isLoading, error, more } = useMessages(store, query.trim(), PAGE);
  const asked = store.panelAsked.value;
  const write = (/** @type {string} */ text) => (store.searchFor.value = text);
  const add = (/** @type {string} */ filter) => {
    write(`${query.trim()} ${filter}`.trimStart());
    document.getElementById("search-query")?.focus();
  };
  const close = () => {
    /** @type {HTMLElement | null} */ (document.querySelector("button[data-panel=search]"))?.focus();
    onClose();
  };
  // With the first paint, so that no key goes elsewhere; and each time that the search is asked for.
  useLayoutEffect(() => document.getElementById("search-query")?.focus(), [asked]);
  return html`
    <div class="panel-head">
      <h2>${_("Search")}</h2>
      <${IconButton} label=${_("Close the search")} icon=${CloseIcon} onClick=${close} />
    </div>
    <div class="search-fields" role="search">
      <${SearchField} id="search-query" label=${_("Words in messages")} query=${query} onQuery=${write} />
      <div class="search-filters">
        ${FILTERS.map((filter) => html`<button type="button" class="chip" onClick=${() => add(filter)}>${filter}</button>`)}
      </div>
    </div>
    <p class="people-note muted" role="status">${error || wordsAbout(query, messages, isLoading)}</p>
    <ul class="search-results">
      ${messages.map((message) => html`<${Result} key=${message.id} message=${message} query=${query} store=${store} />`)}
    </ul>
    ${hasMore && html`<button type="button" class="button small" onClick=${more}>${_("Older messages")}</button>`}`;
}

/** @param {string} query @param {readonly Message[]} messages @param {boolean} isLoading */
function wordsAbout(query, messages, isLoading) {
  if (query.trim() === "") return _("Narrow it down: from:alice, in:general, before:2026-01-31, after:2026-01-01, has:file, has:link, has:image.");
  if (isLoading) return _("Searching…");
  return messages.length === 0 ? _("Nothing was found in your rooms.") : "";
}

/** @param {{message: Message, query: string, store: ChatStore}} props */
function Result({ message, query, store }) {
  const at = new Date(message.sent_at);
  const room = store.stores.value.get(message.room_id)?.room.value.name;
  const words = marked(summaryOf(message), query).map(({ text, isMatch }) => (isMatch ? html`<mark>${text}</mark>` : text));
  return html`
    <li>
      <button type="button" class="search-result" onClick=${() => store.select(message.room_id, message.seq)}>
        <span class="search-where"><bdi>${room}</bdi><time class="muted" datetime=${message.sent_at}>${dayText(at, new Date(store.today.value))}, ${timeText(at)}</time></span>
        <span class="search-text"><bdi class="message-author">${nameOf(message.author)}</bdi> <bdi>${words}</bdi></span>
      </button>
    </li>`;
}

/** The newest messages that match a query. @param {ChatStore} store @param {string} query @param {number} limit */
export function useMessages(store, query, limit) {
  const page = async (/** @type {Message[]} */ known) => {
    const before = known.at(-1)?.id;
    const { payload } = await store.client.request("search", { query, limit, ...(before && { before }) });
    return { messages: [...known, ...payload.messages], hasMore: payload.has_more };
  };
  const nothing = { messages: /** @type {Message[]} */ ([]), hasMore: false };
  const { found, error, isKnown, extend } = useAnswer(query, nothing, async () => (query === "" ? nothing : page([])));
  const messages = found.messages.filter(({ id }) => !store.deleted.value.includes(id));
  return { messages, hasMore: found.hasMore, error, isLoading: !isKnown, more: () => extend(page(found.messages)) };
}
