import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { _ } from "realtime/texts";

import { reasonText } from "../lib/attachments.js";
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
  // WebKit's search fields keep Escape for themselves, and for the page below it would mark the room as read.
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && !isForInputMethod(event) && (event.stopPropagation(), onClose());
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

/** Why something failed that was done in a dialog, and a function that waits for it and closes the dialog then. @param {() => void} onClose */
export function useAct(onClose) {
  const [failure, setFailure] = useState("");
  const act = (/** @type {Promise<unknown>} */ done, close = onClose) => {
    // If it fails as before, it is told again, and a field shows again what the server has.
    setFailure("");
    done.then(close, (error) => setFailure(reasonText(error)));
  };
  return { failure, act };
}

/**
 * The form of a dialog, which closes when what the form does has succeeded.
 * @param {{words: string, onSubmit: (changes: Record<string, string>) => Promise<unknown>, onClose: () => void, no?: string, isReady?: boolean,
 *   form?: ReturnType<typeof useAct>, more?: any, children: any}} props
 *   words: on the button; onSubmit: gets what the reader has changed, by the names of the fields; form: where something else in the
 *   dialog may fail, too; more: another button
 */
export function DialogForm({ words, onSubmit, onClose, no, isReady = true, form, more, children }) {
  const own = useAct(onClose);
  const { failure, act } = form ?? own;
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    act(onSubmit(changesIn(/** @type {HTMLFormElement} */ (event.currentTarget))));
  };
  return html`
    <form class="form" onSubmit=${submit}>
      ${children}
      <${Failure} text=${failure} />
      <${DialogActions} no=${no} onClose=${onClose}>${more}<button type="submit" class="button primary" disabled=${!isReady}>${words}</button><//>
    </form>`;
}

/** A dialog that is a form. @param {{title: string, returnTo?: () => Element | null} & Parameters<typeof DialogForm>[0]} props */
export const FormDialog = ({ title, returnTo, ...form }) => html`
  <${Dialog} title=${title} onClose=${form.onClose} returnTo=${returnTo}><${DialogForm} ...${form} /><//>`;

/** @param {HTMLFormElement} form */
function changesIn(form) {
  const fields = /** @type {HTMLInputElement[]} */ ([...form.elements]).filter(({ name }) => name);
  const changed = fields.filter((field) => (field.type === "radio" ? field.checked && !field.defaultChecked : field.value.trim() !== field.defaultValue));
  return Object.fromEntries(changed.map(({ name, value }) => [name, value.trim()]));
}

/** A failure, shown in the dialog. @param {{text: string}} props */
export const Failure = ({ text }) => text && html`<p class="failure" role="alert"><span aria-hidden="true">⚠ </span>${text}</p>`;
