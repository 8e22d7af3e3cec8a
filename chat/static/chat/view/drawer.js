import { useEffect } from "preact/hooks";
/** @import {ChatStore} from "../types.js" */

/**
 * Moves the focus into a drawer when it opens, and back to the earlier element when it closes, unless something else has got it.
 * @param {ChatStore} store
 */
export function useDrawer(store) {
  const open = store.drawer.value;
  useEffect(() => {
    if (open === null) return undefined;
    const opener = document.activeElement;
    /** @type {HTMLElement | null} */ (document.querySelector(`#${open} .drawer-only`))?.focus();
    return () => {
      const at = document.activeElement;
      if (opener instanceof HTMLElement && (at === document.body || at?.closest(".sidebar, .panel"))) opener.focus();
    };
  }, [open]);
}
