// The only place where text of the server becomes elements. The server has cleaned it; the page's policy allows
// this one name.
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("server-html", { createHTML: (/** @type {string} */ html) => html });

/** The elements of a message's `html`. @param {string} html cleaned by the server */
export function elementsOf(html) {
  const template = document.createElement("template");
  template.innerHTML = policy ? policy.createHTML(html.trim()) : html.trim();
  return template.content;
}
