import { useEffect, useId, useRef, useState } from "preact/hooks";

import { html } from "./html.js";

/**
 * A native modal dialog. It keeps the focus inside, and Escape closes it.
 * @param {{title: string, onClose: () => void, children?: any}} props
 */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const titleId = useId();
  useEffect(() => dialog.current?.showModal(), []);
  // WebKit's search fields keep Escape for themselves.
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && !event.isComposing && onClose();
  const closeOutside = (/** @type {MouseEvent} */ event) => event.target === dialog.current && onClose();
  return html`
    <dialog ref=${dialog} class="dialog" aria-labelledby=${titleId} onClose=${onClose} onClick=${closeOutside} onKeyDown=${onKeyDown}>
      <div class="dialog-body">
        <h2 id=${titleId}>${title}</h2>
        ${children}
      </div>
    </dialog>`;
}

/** @param {{store: import("../state/store.js").ChatStore, onClose: () => void}} props */
export function CreateRoomDialog({ store, onClose }) {
  const [name, setName] = useState("");
  const [isPublic, setPublic] = useState(true);
  const [error, setError] = useState("");
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await store.createRoom(name.trim(), isPublic);
      onClose();
    } catch (failure) {
      setError(/** @type {Error} */ (failure).message);
    }
  };
  return html`
    <${Dialog} title="New room" onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <div class=${error ? "field invalid" : "field"}>
          <label for="room-name">Name</label>
          <input id="room-name" class="input" required maxlength="80" autocomplete="off" value=${name}
            aria-describedby=${error ? "room-name-error" : null}
            onInput=${(/** @type {any} */ event) => setName(event.target.value)} />
          ${error && html`<div id="room-name-error" class="error" role="alert">${error}</div>`}
        </div>
        <label class="check"><input type="checkbox" checked=${isPublic}
          onChange=${(/** @type {any} */ event) => setPublic(event.target.checked)} /> Public: everybody here may join</label>
        <div class="actions">
          <button type="button" class="button" onClick=${onClose}>Cancel</button>
          <button type="submit" class="button primary" disabled=${name.trim() === ""}>Create</button>
        </div>
      </form>
    <//>`;
}

/** @param {{store: import("../state/store.js").ChatStore, room: import("../state/room-store.js").RoomStore, onClose: () => void}} props */
export function LeaveRoomDialog({ store, room, onClose }) {
  const { name, is_public } = room.room.value;
  const leave = () => store.leaveRoom(room.id).then(onClose);
  return html`
    <${Dialog} title=${`Leave ${name}?`} onClose=${onClose}>
      <p class="muted">${is_public ? "You can join again at any time." : "The room is private: somebody in it has to let you in again."}</p>
      <div class="actions">
        <button type="button" class="button" onClick=${onClose}>Stay</button>
        <button type="button" class="button primary" onClick=${leave}>Leave</button>
      </div>
    <//>`;
}

/** @param {{store: import("../state/store.js").ChatStore}} props */
export function DeleteDialog({ store }) {
  const { actions } = store;
  const message = /** @type {import("../lib/timeline.js").Message} */ (actions.toDelete.value);
  const close = () => (actions.toDelete.value = null);
  const remove = () => actions.delete(message).then(close);
  return html`
    <${Dialog} title="Delete this message?" onClose=${close}>
      <blockquote class="muted" dir="auto">${message.text}</blockquote>
      <p class="muted">Its text is gone for everybody. This cannot be undone.</p>
      <div class="actions">
        <button type="button" class="button" onClick=${close}>Keep</button>
        <button type="button" class="button primary" onClick=${remove}>Delete</button>
      </div>
    <//>`;
}
