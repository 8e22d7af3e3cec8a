import { _ } from "realtime/texts";

const COPIED_MS = 2_000;

// The only place where text of the server becomes elements. The server has cleaned it; the page's policy allows
// this one name.
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("server-html", { createHTML: (/** @type {string} */ html) => html });

/** The elements of a message's `html`. Blocks of code have a button that copies them. @param {string} html cleaned by the server */
export function elementsOf(html) {
  const template = document.createElement("template");
  template.innerHTML = policy ? policy.createHTML(html.trim()) : html.trim();
  for (const pre of template.content.querySelectorAll("pre")) withCopyButton(pre);
  return template.content;
}

/** @param {HTMLElement} pre */
function withCopyButton(pre) {
  const block = document.createElement("div");
  block.className = "code-block";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small copy-button";
  button.textContent = _("Copy");
  button.addEventListener("click", () => copy(pre, button));
  // Wide code scrolls, also by keyboard.
  pre.tabIndex = 0;
  pre.replaceWith(block);
  block.append(pre, button);
}

/** @param {HTMLElement} pre @param {HTMLElement} button */
async function copy(pre, button) {
  try {
    await navigator.clipboard.writeText(pre.textContent ?? "");
    button.textContent = _("Copied");
  } catch {
    // Not allowed, or plain http: the reader copies what is selected.
    getSelection()?.selectAllChildren(pre);
    button.textContent = _("Selected");
  }
  setTimeout(() => (button.textContent = _("Copy")), COPIED_MS);
}
