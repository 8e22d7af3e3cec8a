import { useEffect, useRef } from "preact/hooks";

/**
 * Moves the focus into a drawer when it opens, and back to the earlier element when it closes, unless something else has got it.
 * @param {boolean} isOpen
 * @returns the ref of the element that gets the focus
 */
export function useDrawer(isOpen) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!isOpen) return undefined;
    const opener = document.activeElement;
    ref.current?.focus();
    return () => {
      const at = document.activeElement;
      if (opener instanceof HTMLElement && (at === document.body || at?.closest(".sidebar, .panel"))) opener.focus();
    };
  }, [isOpen]);
  return ref;
}
