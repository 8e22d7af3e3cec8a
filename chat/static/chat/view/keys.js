import { useEffect } from "preact/hooks";
/** @import {ChatStore} from "../types.js" */

/** The keys of the page, wherever the focus is. @param {ChatStore} store */
export function useKeys(store) {
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    // A browser that fills in a form sends keydown events without a key.
    if (!event.key || event.defaultPrevented || store.dialog.value !== null) return;
    const act = actionOf(event, store);
    // With Escape the browser also closes its own dialogs.
    if (act && event.key !== "Escape") event.preventDefault();
    if (act) act();
    else if (isTyping(event) && !isSearchComing(store)) focusComposer();
  };
  // As long as the page, whose store stays the same.
  useEffect(() => addEventListener("keydown", onKeyDown), []);
}

/** Whether a key goes to an input method. Safari ends the composition before its Enter, with this code. @param {KeyboardEvent} event */
export const isForInputMethod = (event) => event.isComposing || event.keyCode === 229;

/** Put the focus into the composer. */
export function focusComposer() {
  document.getElementById("composer-text")?.focus();
}

/** The same, after something that had the focus is gone. On a touch screen the keyboard would cover the messages. */
export const backToComposer = () => matchMedia("(pointer: fine)").matches && focusComposer();

/** Whether the search was opened but its field is not there yet. A key that is typed now belongs to the search. @param {ChatStore} store */
const isSearchComing = (store) => store.panel.value === "search" && document.getElementById("search-query") === null;

/** The action of a key on the page, or nothing. @param {KeyboardEvent} event @param {ChatStore} store */
function actionOf(event, store) {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) return () => store.show("Finder");
  if (event.key === "/" && (event.ctrlKey || event.metaKey)) return () => store.show("Shortcuts");
  if (event.key === "ArrowUp" && event.altKey) return () => store.selectNeighbour(-1);
  if (event.key === "ArrowDown" && event.altKey) return () => store.selectNeighbour(1);
  const isForBrowser = isForInputMethod(event) || document.querySelector(":popover-open") !== null;
  if (event.key === "Escape" && !isForBrowser) return () => (store.drawer.value ? (store.drawer.value = null) : store.markCurrentRead());
  return null;
}

/**
 * Whether a key outside of all fields begins a text, or pastes one. It goes into the composer, because the focus
 * moves before the browser inserts it.
 * @param {KeyboardEvent} event
 */
function isTyping({ key, ctrlKey, metaKey, altKey, target }) {
  const isInField = target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;
  if (isInField || document.querySelector(":popover-open") !== null) return false;
  if (ctrlKey || metaKey) return key.toLowerCase() === "v" && !altKey;
  // Space scrolls, and presses buttons. A letter may be made with AltGr.
  return [...key].length === 1 && key !== " ";
}
