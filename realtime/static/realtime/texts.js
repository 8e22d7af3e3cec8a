/**
 * The texts of pages. Each is written in English where it is shown, and translated here: by the functions of
 * Django's JavaScript catalogue, if the page has it. `makemessages -d djangojs` finds them.
 */

/**
 * A text in the reader's language.
 * @param {string} text
 * @param {Record<string, unknown>} [values] for the names in braces: `_("Leave {room}?", { room: "general" })`
 */
export function _(text, values = {}) {
  const translated = /** @type {any} */ (globalThis).gettext?.(text) ?? text;
  return translated.replace(/\{(\w+)\}/g, (/** @type {string} */ whole, /** @type {string} */ name) => String(values[name] ?? whole));
}

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
