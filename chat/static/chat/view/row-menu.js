import { useEffect } from "preact/hooks";
import { _ } from "realtime/texts";

import { MEMBER } from "../lib/rights.js";
import { copy } from "../state/clipboard.js";
import { markUnread, mayDelete, pin } from "../state/message-actions.js";
import { Floating } from "./floating.js";
import { html } from "./html.js";
import { lazy } from "./lazy.js";
/** @import {Message, Place} from "../types.js" */

const EmojiPicker = lazy(() => import("./emoji-picker.js"), "EmojiPicker");

/** The menu of a message, or the emoji to react with. @param {Place & {onClose: () => void}} props */
export function RowFloating({ store, room, onClose }) {
  const open = store.actions.floating.value;
  if (open === null) return null;
  const { kind, message, anchor } = open;
  return kind === "menu"
    ? html`<${RowMenu} store=${store} room=${room} message=${message} anchor=${anchor} onClose=${onClose} />`
    : html`<${EmojiPicker} store=${store} anchor=${anchor} onChoose=${(/** @type {string} */ emoji) => store.actions.react(message, emoji)} onClose=${onClose} />`;
}

/** The further actions on a message. @param {Place & {message: Message, anchor: HTMLElement, onClose: () => void}} props */
function RowMenu({ store, room, message, anchor, onClose }) {
  useEffect(() => void (room.pins.value === null && room.loadPins()), [room]);
  const isPinned = room.pins.value?.some(({ seq }) => seq === message.seq) ?? false;
  const mayPin = store.rank(room) >= MEMBER;
  const item = (/** @type {string} */ label, /** @type {() => unknown} */ act, isFirst = false) => html`
    <button type="button" autofocus=${isFirst} onClick=${() => (onClose(), act())}>${label}</button>`;
  return html`
    <${Floating} anchor=${anchor} label=${_("More")} class="row-menu menu-items" onClose=${onClose}>
      <div onKeyDown=${move}>
        ${mayPin && item(isPinned ? _("Unpin") : _("Pin to the room"), () => pin(store, message, !isPinned), true)}
        ${item(_("Mark unread from here"), () => markUnread(store, message), !mayPin)}
        ${item(_("Copy link"), () => copy(store, linkTo(message), _("The link is copied.")))}
        ${message.text && item(_("Copy text"), () => copy(store, message.text, _("The text is copied.")))}
        ${mayDelete(store, message) && item(_("Delete…"), () => store.show("DeleteMessage", { message }))}
      </div>
    <//>`;
}

/** @param {{room_id: number, seq: number}} message */
const linkTo = ({ room_id, seq }) => `${location.origin}${location.pathname}#room-${room_id}-${seq}`;

/** Arrows move the focus. @param {KeyboardEvent} event */
function move(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const items = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button")];
  const index = items.indexOf(/** @type {any} */ (event.target));
  items[(index + step + items.length) % items.length].focus();
}
