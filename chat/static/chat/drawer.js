import { useEffect, useRef } from "preact/hooks";

/**
 * Moves the focus into a drawer that opens, and back to where it was when it closes.
 * @param {boolean} isOpen
 * @returns the ref of what gets the focus
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
