import { useEffect, useMemo } from "preact/hooks";
/** @import {ChatStore} from "../types.js" */

/**
 * Moves the focus into a drawer when it opens, and back to the earlier element when it closes, unless something else has got it.
 * @param {ChatStore} store
 */
export function useDrawer(store) {
  const open = store.drawer.value;
  // The search takes the focus as soon as it is drawn.
  const opener = useMemo(() => document.activeElement, [open]);
  useEffect(() => {
    if (open === null) return undefined;
    const drawer = document.getElementById(open);
    /** @type {HTMLElement | null | undefined} */ (drawer?.querySelector(".drawer-only"))?.focus();
    return () => {
      const at = document.activeElement;
      // On wide screens a panel stays where it is.
      const isHidden = drawer?.contains(at) && getComputedStyle(drawer).position === "fixed";
      if (opener instanceof HTMLElement && (at === document.body || isHidden)) opener.focus();
    };
  }, [open]);
}
