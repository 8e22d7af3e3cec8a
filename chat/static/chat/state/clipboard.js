import { _ } from "realtime/texts";
/** @import {ChatStore} from "../types.js" */

/** Put a text on the clipboard. @param {ChatStore} store @param {string} text @param {string} said to screen readers */
export async function copy(store, text, said) {
  try {
    await navigator.clipboard.writeText(text);
    store.announce(said);
  } catch {
    // Not allowed, or plain http.
    store.notice.value = _("The browser does not let the page copy. Copy it by hand: {text}", { text });
  }
}
