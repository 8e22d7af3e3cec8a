import { useEffect, useId, useRef, useState } from "preact/hooks";

import { _ } from "../lib/texts.js";
import { html } from "./html.js";

const rooms = () => import("./room-dialogs.js");
const people = () => import("./people-dialogs.js");
/** The module of each dialog. Modules that the first paint does not need are loaded when they are used. @type {Record<string, () => Promise<any>>} */
const MODULES = {
  Finder: () => import("./finder.js"),
  CreateRoom: rooms, BrowseRooms: rooms, RoomInfo: rooms, LeaveRoom: rooms, DeleteMessage: rooms,
  Pins: () => import("./pins.js"), Picture: () => import("./picture.js"), Shortcuts: () => import("./shortcuts.js"),
  NewDirect: people, Invite: people, Person: people, Profile: people,
};

/** The dialog that is open. @param {{store: import("../state/store.js").ChatStore}} props */
export function OpenDialog({ store }) {
  const open = store.dialog.value;
  const close = () => (store.dialog.value = null);
  const dialog = useLoaded(open && MODULES[open.name], () => {
    store.notice.value = _("This did not load. Check your network, then try again.");
    close();
  })?.[open?.name ?? ""];
  return dialog ? html`<${dialog} ...${open} store=${store} onClose=${close} />` : null;
}

/**
 * A module that is loaded when it is first used; null until then.
 * @param {(() => Promise<any>) | null} load
 * @param {() => void} onFailed
 */
export function useLoaded(load, onFailed) {
  const [loaded, setLoaded] = useState(/** @type {{load: unknown, module: any} | null} */ (null));
  useEffect(() => {
    let isWanted = true;
    load?.().then((module) => isWanted && setLoaded({ load, module }), () => isWanted && onFailed());
    return () => void (isWanted = false);
  }, [load]);
  return load && loaded?.load === load ? loaded.module : null;
}

/**
 * A native modal dialog. It keeps the focus inside, and Escape closes it.
 * @param {{title: string, onClose: () => void, isWide?: boolean, children?: any}} props
 */
export function Dialog({ title, onClose, isWide = false, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const titleId = useId();
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    // If the element with the focus is removed, no other element gets the focus.
    return () => void setTimeout(() => document.activeElement === document.body && opener instanceof HTMLElement && opener.focus());
  }, []);
  // WebKit's search fields keep Escape for themselves.
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && !event.isComposing && onClose();
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
