import { _ } from "realtime/texts";

import { roomParts } from "../lib/room-names.js";

const COPIED_MS = 2_000;

/**
 * Make links of the names of rooms in a message's elements, and give blocks of code a button that copies them.
 * @param {Element} elements @param {readonly {id: number, name: string}[]} rooms
 */
export function addExtras(elements, rooms) {
  const walker = document.createTreeWalker(elements, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  for (const text of texts) {
    if (!text.data.includes("#") || text.parentElement?.closest("a, code, button")) continue;
    text.replaceWith(...roomParts(text.data, rooms).map(({ text: part, roomId }) => (roomId === null ? part : linkTo(part, roomId))));
  }
  // A text that was drawn anew meanwhile has them already.
  for (const pre of elements.querySelectorAll("pre:not(.code-block > pre)")) addCopyButton(/** @type {HTMLElement} */ (pre));
}

/** @param {string} textContent @param {number} roomId */
const linkTo = (textContent, roomId) => Object.assign(document.createElement("a"), { href: `#room-${roomId}`, textContent });

/** @param {HTMLElement} pre */
function addCopyButton(pre) {
  const block = Object.assign(document.createElement("div"), { className: "code-block" });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button small copy-button", textContent: _("Copy") });
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
