/**
 * A name that is being typed: `@` people, `#` rooms, `:` emoji.
 *
 * @typedef {"@" | "#" | ":"} Kind
 * @typedef {{kind: Kind, query: string, start: number}} Token  start: where its first character is in the text
 */

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
