import { useEffect } from "preact/hooks";
/** @import {ChatStore} from "../types.js" */

/**
 * Moves the focus into a drawer when it opens, and to its button when it closes, unless something else has got it.
 * @param {ChatStore} store
 */
export function useDrawer(store) {
  const open = store.drawer.value;
  useEffect(() => {
    const drawer = open && document.getElementById(open);
    if (!drawer) return undefined;
    // A panel has a button of its own. When it has closed, another one is shown.
    const own = drawer.dataset.panel ? `[data-panel=${drawer.dataset.panel}]` : "";
    const closer = /** @type {HTMLElement | null} */ (drawer.querySelector(".drawer-only"));
    // The search has taken the focus already. A panel that is still loading has no button, so the panel itself takes it.
    if (!drawer.contains(document.activeElement)) (closer ?? drawer).focus();
    return () => {
      const at = document.activeElement;
      const button = /** @type {HTMLElement | null} */ (document.querySelector(`[aria-controls=${open}]${own}`));
      // On wide screens a panel stays where it is.
      const isHidden = drawer.contains(at) && getComputedStyle(drawer).position === "fixed";
      if (at === document.body || isHidden) button?.focus();
    };
  }, [open]);
}
