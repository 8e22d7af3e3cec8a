/** @import {Room} from "../types.js" */

/** Words of a query, without its filters. */
const TERM = /(?:(?:from|in|before|after|has):)?(?:"[^"]*"|\S+)/gi;
const FILTER = /^(?:from|in|before|after|has):/i;
// A result shows where it matches.
const BEFORE_CHARS = 60;
const SHOWN_CHARS = 240;
// Rooms shown at once.
const FOUND_MAX = 50;

/**
 * A text in parts, with the words of a query marked. A long text is cut around the first of them.
 * @param {string} text @param {string} query
 */
export function marked(text, query) {
  const words = (query.match(TERM) ?? []).filter((term) => !FILTER.test(term)).map((term) => term.replaceAll('"', "")).filter(Boolean);
  const wanted = words.length > 0 ? new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "iu") : null;
  const first = wanted ? Math.max(text.search(wanted), 0) : 0;
  const begin = first > BEFORE_CHARS ? first - BEFORE_CHARS : 0;
  const cut = `${begin > 0 ? "…" : ""}${text.slice(begin, begin + SHOWN_CHARS)}${text.length > begin + SHOWN_CHARS ? "…" : ""}`.toWellFormed();
  return (wanted ? cut.split(new RegExp(wanted, "giu")) : [cut]).map((part, index) => ({ text: part, isMatch: index % 2 === 1 })).filter((part) => part.text !== "");
}

/** Whether each word of a query is a part of a text. @param {string} text @param {string} query */
export function hasWords(text, query) {
  const words = query.toLocaleLowerCase().split(/\s+/);
  return words.every((word) => text.toLocaleLowerCase().includes(word));
}

/** The name that a query of the finder asks for: `@bob` and `#general` are written as in a message. @param {string} query */
export const nameWanted = (query) => query.trim().replace(/^[@#]/, "");

/**
 * Rooms whose names have a text in them: own rooms first, and names that begin with it before others.
 * @param {readonly Room[]} rooms in the order of the list
 * @param {string} query
 */
export function roomsFound(rooms, query) {
  const wanted = query.trim().toLocaleLowerCase();
  const place = (/** @type {Room} */ room) => room.name.toLocaleLowerCase().indexOf(wanted);
  const rank = (/** @type {Room} */ room) => Number(!room.is_member) * 2 + Number(place(room) > 0);
  return rooms
    .filter((room) => place(room) >= 0)
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, FOUND_MAX);
}
