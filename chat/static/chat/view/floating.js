import { useLayoutEffect, useRef } from "preact/hooks";

import { html } from "./html.js";

const GAP_PX = 6;

/**
 * A box beside the button that opened it. Escape and a click elsewhere close it, and the focus goes back.
 * @param {{anchor: HTMLElement, label: string, class: string, onClose: () => void, children?: any}} props
 */
export function Floating({ anchor, label, class: name, onClose, children }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const box = /** @type {HTMLElement} */ (element.current);
    const row = anchor.closest("article");
    box.showPopover();
    place(box, anchor.getBoundingClientRect());
    return () => {
      const hadFocus = box.contains(document.activeElement) || document.activeElement === document.body;
      if (hadFocus) (anchor.isConnected ? anchor : row)?.focus({ preventScroll: true });
    };
  }, [anchor]);
  const onToggle = (/** @type {any} */ event) => event.newState === "closed" && onClose();
  return html`<div ref=${element} class=${`floating ${name}`} popover="auto" role="dialog" aria-label=${label} onToggle=${onToggle}>${children}</div>`;
}

/**
 * Below the button, or above it if there is more room, and always inside of the window.
 * @param {HTMLElement} box @param {DOMRect} from
 */
function place(box, from) {
  const { offsetWidth: width, offsetHeight: height } = box;
  const below = innerHeight - from.bottom - GAP_PX;
  const top = below >= height || below >= from.top ? from.bottom + GAP_PX : from.top - GAP_PX - height;
  const left = from.left < innerWidth / 2 ? from.left : from.right - width;
  const inside = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ space) => Math.max(GAP_PX, Math.min(at, space - size - GAP_PX));
  box.style.top = `${inside(top, height, innerHeight)}px`;
  box.style.left = `${inside(left, width, innerWidth)}px`;
}
