import { useEffect, useState } from "preact/hooks";

import { count } from "../dashboard-format.js";
import { _ } from "../texts.js";
import { age, OLD_MS, scopeLine } from "./figures.js";
import { html } from "./html.js";
import { ariaSort, changed, nextSort, pageOf } from "./place.js";
import { useSecond } from "./use-list.js";

export const PAGE_SIZE = 50;
const SEARCH_WAIT_MS = 300;

/**
 * @typedef {{name: string, label: string, cell: (row: any) => unknown, isNumber?: boolean, isSorted?: boolean}} Column
 *   `name` is the sort key if it `isSorted`.
 * @typedef {{name: string, label: string, options?: [string, string][]}} Filter a field, or a choice
 */

/**
 * A list of the control endpoints: filters, heading, rows, pages, the number of nodes and the age.
 * @param {{title: string, name: string, list: import("./use-list.js").Read, place: import("./place.js").Place,
 *   go: (place: import("./place.js").Place) => void, columns: Column[], filters: Filter[], defaultSort: string,
 *   keyOf: (row: any) => string, none: string, isWhole?: boolean, children?: unknown}} props `isWhole`: it has no pages
 */
export function ListView({ title, name, list, place, go, columns, filters, defaultSort, keyOf, none, isWhole, children }) {
  const rows = list.answer?.results ?? [];
  const sort = place.query.sort ?? defaultSort;
  const sortBy = (/** @type {Column} */ column) => go(changed(place, { sort: nextSort(sort, column.name, column.isNumber === true) }));
  return html`
    <section class="module" data-list=${name} ...${{ [`data-${name}`]: true }} aria-labelledby=${`${name}-title`}>
      <h2 id=${`${name}-title`}>${title} <span class="quiet" data-count>${list.answer && count(list.answer.count)}</span></h2>
      ${filters.length > 0 && html`<${Filters} filters=${filters} place=${place} go=${go} />`}
      ${children}
      <${Age} list=${list} />
      <div class="scroll" role="region" tabindex="0" aria-label=${_("Table: {title}", { title })}>
        <table>
          <thead><tr>${columns.map((column) => html`
            <th scope="col" key=${column.name} class=${column.isNumber ? "number" : ""} aria-sort=${ariaSort(sort, column.name)}>
              ${column.isSorted
                ? html`<button type="button" class="sort" onClick=${() => sortBy(column)}>${column.label}<span aria-hidden="true">${arrowOf(sort, column.name)}</span></button>`
                : column.label || html`<span class="visually-hidden">${_("Orders")}</span>`}
            </th>`)}</tr></thead>
          <tbody>${rows.map((/** @type {any} */ row) => html`<${Row} key=${keyOf(row)} row=${row} columns=${columns} />`)}</tbody>
        </table>
      </div>
      ${list.answer && rows.length === 0 && html`<p class="empty">${none}</p>`}
      ${!isWhole && html`<${Pages} list=${list} place=${place} go=${go} title=${title} />`}
    </section>`;
}

/** The number of nodes that a list covers, its age, and the error of its last read. @param {{list: import("./use-list.js").Read}} props */
export function Age({ list }) {
  useSecond();
  const { answer, atMs, error } = list;
  const ageMs = Date.now() - atMs;
  const isOld = answer !== null && ageMs > OLD_MS;
  const part = answer === null ? _("Loading") : answer.nodes_total === undefined ? age(ageMs) : scopeLine(answer, ageMs);
  const isPartial = answer !== null && answer.nodes_answered < answer.nodes_total;
  return html`
    <p class=${`age ${isOld || isPartial || error ? "is-doubtful" : ""}`}>${error && answer === null ? "" : part}${isOld ? _(", old") : ""}</p>
    <p class="fault" role="alert">${error && _("Could not be read: {error}", { error })}</p>`;
}

/** @param {{row: any, columns: Column[]}} props */
function Row({ row, columns }) {
  return html`<tr>${columns.map((column, index) => index === 0
    ? html`<th scope="row" key=${column.name}>${column.cell(row)}</th>`
    : html`<td key=${column.name} class=${column.isNumber ? "number" : ""}>${column.cell(row)}</td>`)}</tr>`;
}

/** @param {{filters: Filter[], place: import("./place.js").Place, go: (place: import("./place.js").Place) => void}} props */
function Filters({ filters, place, go }) {
  return html`
    <form class="filters" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${filters.map((filter) => html`<label key=${filter.name}>${filter.label}
        ${filter.options
          ? html`<select value=${place.query[filter.name] ?? ""} onChange=${(/** @type {any} */ event) => go(changed(place, { [filter.name]: event.target.value }))}>
              <option value="">${_("all")}</option>
              ${filter.options.map(([value, label]) => html`<option key=${value} value=${value}>${label}</option>`)}
            </select>`
          : html`<${SearchField} value=${place.query[filter.name] ?? ""} onValue=${(/** @type {string} */ value) => go(changed(place, { [filter.name]: value }))} />`}
      </label>`)}
    </form>`;
}

/** A field that tells its value when nothing was typed for a moment. @param {{value: string, onValue: (value: string) => void}} props */
function SearchField({ value, onValue }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text.trim() === value) return undefined;
    const timer = setTimeout(() => onValue(text.trim()), SEARCH_WAIT_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<input type="search" value=${text} autocomplete="off" spellcheck=${false} maxlength="255" onInput=${(/** @type {any} */ event) => setText(event.target.value)} />`;
}

/** @param {{list: import("./use-list.js").Read, place: import("./place.js").Place, go: (place: import("./place.js").Place) => void, title: string}} props */
function Pages({ list, place, go, title }) {
  if (list.answer === null || list.answer.count <= PAGE_SIZE) return null;
  const { page, pages, first, last, hasNext, hasPrevious } = pageOf(list.answer.count, PAGE_SIZE, Number(place.query.page ?? 1));
  const numbers = { first: count(first), last: count(last), count: count(list.answer.count), page: count(page), pages: count(pages) };
  const to = (/** @type {number} */ number) => go(changed(place, { page: String(number) }));
  return html`
    <nav class="pages" aria-label=${_("Pages of {title}", { title })}>
      <button type="button" disabled=${!hasPrevious} onClick=${() => to(page - 1)}>${_("Previous")}</button>
      <span>${_("{first} to {last} of {count}, page {page} of {pages}", numbers)}</span>
      <button type="button" disabled=${!hasNext} onClick=${() => to(page + 1)}>${_("Next")}</button>
    </nav>`;
}

/**
 * @param {string} sort
 * @param {string} column
 */
function arrowOf(sort, column) {
  const direction = ariaSort(sort, column);
  return direction === undefined ? "" : direction === "ascending" ? " ↑" : " ↓";
}
