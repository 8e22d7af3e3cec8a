import { useEffect, useRef } from "preact/hooks";

/**
 * Moves the focus into a drawer when it opens, and back to the earlier element when it closes.
 * @param {boolean} isOpen
 * @returns the ref of the element that gets the focus
 */
export function useDrawer(isOpen) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!isOpen) return undefined;
    const opener = document.activeElement;
    ref.current?.focus();
    return () => opener instanceof HTMLElement && opener.focus();
  }, [isOpen]);
  return ref;
}
