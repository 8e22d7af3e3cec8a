import { _ } from "realtime/texts";

/**
 * Put a text on the clipboard.
 * @param {import("./store.js").ChatStore} store
 * @param {string} text
 * @param {string} said to screen readers
 */
export async function copy(store, text, said) {
  try {
    await navigator.clipboard.writeText(text);
    store.announce(said);
  } catch {
    // Not allowed, or plain http.
    store.notice.value = _("The browser does not let the page copy. Copy it by hand: {text}", { text });
  }
}
