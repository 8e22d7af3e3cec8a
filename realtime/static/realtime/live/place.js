/**
 * The place of the page: a view, perhaps one item in it, and the filters of the view. It is kept in the
 * address, so that it can be linked to and the browser's back button works.
 *
 * @typedef {{view: string, id: string | null, query: Record<string, string>}} Place
 */

export const VIEWS = ["overview", "connections", "topics", "nodes", "errors", "tenants", "bans", "audit"];

/**
 * @param {string} hash of the address, for example `#connections/abc?user=7`
 * @returns {Place} the overview for a hash that names no view
 */
export function placeOf(hash) {
  const [path, search = ""] = split(hash.replace(/^#/, ""), "?");
  const [view, id = ""] = split(path, "/");
  if (!VIEWS.includes(view)) return { view: VIEWS[0], id: null, query: {} };
  const query = Object.fromEntries([...new URLSearchParams(search)].filter(([, value]) => value !== ""));
  return { view, id: decoded(id) || null, query };
}

/** @param {Place} place */
export function hashOf({ view, id, query }) {
  const path = id === null ? view : `${view}/${encodeURIComponent(id)}`;
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `#${path}${search === "" ? "" : `?${search}`}`;
}

/**
 * The same view with other filters. Unless the page is among them, it begins at its first page.
 * @param {Place} place
 * @param {Record<string, string>} changes
 * @returns {Place}
 */
export function changed(place, changes) {
  const { page: _, ...kept } = place.query;
  return { view: place.view, id: null, query: { ...kept, ...changes } };
}

/**
 * The order after a click on the heading of `column`.
 * @param {string} sort the order until now: a column, `-` before it turns it round
 * @param {string} column
 * @param {boolean} isLargestFirst whether the first click shows the largest values first
 */
export function nextSort(sort, column, isLargestFirst) {
  if (sort === column) return `-${column}`;
  if (sort === `-${column}`) return column;
  return isLargestFirst ? `-${column}` : column;
}

/**
 * @param {string} sort
 * @param {string} column
 * @returns {"ascending" | "descending" | undefined} for `aria-sort`
 */
export function ariaSort(sort, column) {
  if (sort === column) return "ascending";
  return sort === `-${column}` ? "descending" : undefined;
}

/**
 * Which rows of a list are shown.
 * @param {number} count rows in all
 * @param {number} size rows of a page
 * @param {number} page from 1
 */
export function pageOf(count, size, page) {
  const pages = Math.max(Math.ceil(count / size), 1);
  const first = count === 0 ? 0 : (page - 1) * size + 1;
  return { page, pages, first, last: Math.min(page * size, count), hasNext: page < pages, hasPrevious: page > 1 };
}

/**
 * @param {string} text
 * @param {string} mark
 * @returns {string[]} the parts before and after the first `mark`
 */
function split(text, mark) {
  const at = text.indexOf(mark);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
