import { _ } from "realtime/texts";

/**
 * A name that is being typed, `@` people, `#` rooms, `:` emoji, and the options for it. All functions are pure.
 *
 * @typedef {"@" | "#" | ":"} Kind
 * @typedef {{kind: Kind, query: string, start: number}} Token  start: where its first character is in the text
 * @typedef {{key: string, label: string, detail: string, emoji?: string, insert: string}} Option  insert: replaces the token
 */

const FOUND_MAX = 8;
/** Names for everyone in a room. */
const EVERYONE = ["room", "here"];
const TOKEN = /(?:^|[\s([{"'])([@#:])([\p{L}\p{N}_.+-]{0,40})$/u;
// `:)` and a colon alone are no names.
const EMOJI_MIN_CHARS = 2;

/** The name that is being typed before the caret, if any. There are none in code. @param {string} text @param {number} caret */
export function tokenAt(text, caret) {
  const before = text.slice(0, caret);
  const found = TOKEN.exec(before);
  if (found === null || isInCode(before)) return null;
  const [, kind, query] = found;
  if (kind === ":" && query.length < EMOJI_MIN_CHARS) return null;
  return { kind: /** @type {Kind} */ (kind), query, start: caret - query.length - 1 };
}

/** @param {string} before the caret */
function isInCode(before) {
  const fences = before.split("```").length - 1;
  if (fences % 2 === 1) return true;
  const line = before.slice(before.lastIndexOf("\n") + 1).replaceAll("```", "");
  return (line.split("`").length - 1) % 2 === 1;
}

/**
 * The people of a room for a part of a name, and the names for all of them, with their numbers.
 * @param {string} query @param {readonly {id: number, username: string, name?: string}[]} people
 * @param {{memberCount: number, hereCount: number}} counts @returns {Option[]}
 */
export function peopleFound(query, people, { memberCount, hereCount }) {
  const names = people.map((person) => ({ ...person, name: person.name || person.username }));
  const matching = ranked(query, names, (person) => [person.username, person.name]);
  const options = matching.map(({ id, username, name }) => ({ key: `user-${id}`, label: name, detail: `@${username}`, insert: `@${username}` }));
  const count = { room: _("{count} in this room", { count: memberCount }), here: _("{count} here now", { count: hereCount }) };
  const everyone = EVERYONE.filter((name) => name.startsWith(query.toLocaleLowerCase()));
  const groups = everyone.map((name) => ({ key: name, label: `@${name}`, detail: count[/** @type {"room" | "here"} */ (name)], insert: `@${name}` }));
  return [...options.slice(0, FOUND_MAX - groups.length), ...groups];
}

/** @param {string} query @param {readonly {id: number, name: string, topic_line?: string}[]} rooms @returns {Option[]} */
export function roomsNamed(query, rooms) {
  return ranked(query, rooms, ({ name }) => [name])
    .slice(0, FOUND_MAX)
    .map(({ id, name, topic_line: detail = "" }) => ({ key: `room-${id}`, label: name, detail, insert: `#${name}` }));
}

/** @param {readonly import("./emoji.js").Emoji[]} emoji found for the query @returns {Option[]} */
export function emojiOptions(emoji) {
  return emoji.slice(0, FOUND_MAX).map(({ emoji: sign, names }) => ({ key: sign, label: `:${names[0]}:`, detail: "", emoji: sign, insert: sign }));
}

/**
 * Return the edit that inserts an option: the range to replace and the new text, followed by one space.
 * @param {string} text @param {number} caret @param {Token} token @param {Option} option
 */
export function completed(text, caret, { start }, { insert }) {
  const hasSpace = /^\s/.test(text.slice(caret));
  const at = start + insert.length + 1;
  return { start, end: caret, text: hasSpace ? insert : `${insert} `, selectStart: at, selectEnd: at };
}

/**
 * Things with a name in which some word begins with the query; exact names come first, then those that begin with it.
 * @template T @param {string} query @param {readonly T[]} things @param {(thing: T) => string[]} namesOf
 */
export function ranked(query, things, namesOf) {
  const wanted = query.toLocaleLowerCase();
  const rank = (/** @type {T} */ thing) => {
    const names = namesOf(thing).map((name) => name.toLocaleLowerCase());
    if (names.includes(wanted)) return 0;
    if (names.some((name) => name.startsWith(wanted))) return 1;
    return names.some((name) => name.split(/[\s_.-]+/).some((word) => word.startsWith(wanted))) ? 2 : 3;
  };
  const found = things.map((thing) => ({ thing, rank: rank(thing) })).filter((each) => each.rank < 3);
  return found.sort((a, b) => a.rank - b.rank).map(({ thing }) => thing);
}
