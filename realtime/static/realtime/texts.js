/**
 * The texts of pages. Each is written in English where it is shown, and translated here: by the functions of
 * Django's JavaScript catalogue, if the page has it. `makemessages -d djangojs` finds them.
 */

// Letters of the scripts that are written from right to left, and signs that begin such a text. They take the signs, numbers and
// names beside them along.
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200f\u202b\u202e\u2067\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/**
 * A text in the reader's language. Values that are written from right to left are isolated from the words around them.
 * @param {string} text
 * @param {Record<string, unknown>} [values] for the names in braces: `_("Leave {room}?", { room: "general" })`
 */
export function _(text, values = {}) {
  const translated = /** @type {any} */ (globalThis).gettext?.(text) ?? text;
  return translated.replace(/\{(\w+)\}/g, (/** @type {string} */ whole, /** @type {string} */ name) => isolated(String(values[name] ?? whole)));
}

/** @param {string} value */
const isolated = (value) => (RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value);

/**
 * A text with a number of things: `ngettext("{count} room", "{count} rooms", 2)`.
 * @param {string} one
 * @param {string} many
 * @param {number} count
 * @param {string} [shown] the number as it is written
 * @returns {string}
 */
export function ngettext(one, many, count, shown = String(count)) {
  const translated = /** @type {any} */ (globalThis).ngettext?.(one, many, count) ?? (count === 1 ? one : many);
  return translated.replace("{count}", shown);
}
