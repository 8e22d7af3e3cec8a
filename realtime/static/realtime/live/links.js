import { html } from "./html.js";
import { hashOf } from "./place.js";

/**
 * A link to a list with one filter, or to one thing.
 * @param {{view: string, id?: string | null, query?: Record<string, string>, children?: unknown}} props
 */
export function To({ view, id = null, query = {}, children }) {
  return html`<a href=${hashOf({ view, id, query })}>${children}</a>`;
}

/** @param {any} user of a row @param {string} tenant @returns {import("./operations.js").Target} */
export function userTarget(user, tenant) {
  return { kind: "user", id: user.id, label: user.username, tenant };
}
