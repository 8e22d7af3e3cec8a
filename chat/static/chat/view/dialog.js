import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { _ } from "realtime/texts";

import { html } from "./html.js";
import { isForInputMethod } from "./keys.js";

/**
 * A native modal dialog. It keeps the focus inside, and Escape closes it.
 * @param {{title: string, onClose: () => void, isWide?: boolean, returnTo?: () => Element | null, children?: any}} props
 *   returnTo: what gets the focus if the element that had it before is gone
 */
export function Dialog({ title, onClose, isWide = false, returnTo, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const titleId = useId();
  // Before the next key: it would go to the page below.
  useLayoutEffect(() => {
    const opener = document.activeElement;
    const element = /** @type {HTMLDialogElement} */ (dialog.current);
    element.showModal();
    // The first that can have the focus may be the button at the end.
    element.scrollTop = 0;
    // If the element with the focus is removed, no other element gets the focus.
    return () => void setTimeout(() => {
      for (const element of [opener, returnTo?.()]) if (document.activeElement === document.body && element instanceof HTMLElement) element.focus();
    });
  }, []);
  // WebKit's search fields keep Escape for themselves.
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && !isForInputMethod(event) && onClose();
  const closeOutside = (/** @type {MouseEvent} */ event) => event.target === dialog.current && onClose();
  return html`
    <dialog ref=${dialog} class="dialog" data-wide=${isWide} aria-labelledby=${titleId} onClose=${onClose} onClick=${closeOutside} onKeyDown=${onKeyDown}>
      <div class="dialog-body">
        <h2 id=${titleId}>${title}</h2>
        ${children}
      </div>
    </dialog>`;
}

/** The buttons of a dialog, with the one that does it last. @param {{onClose: () => void, no?: string, children: any}} props */
export function DialogActions({ onClose, no = _("Cancel"), children }) {
  return html`<div class="actions"><button type="button" class="button" onClick=${onClose}>${no}</button>${children}</div>`;
}

/** A failure, shown in the dialog. @param {{text: string, id?: string}} props */
export function Failure({ text, id }) {
  return text && html`<p id=${id} class="failure" role="alert"><span aria-hidden="true">⚠ </span>${text}</p>`;
}
