import { _ } from "realtime/texts";

import { MEMBER } from "../lib/rights.js";
import { Floating } from "./floating.js";
import { html } from "./html.js";
import { setOwn } from "./room-head.js";
/** @import {Place} from "../types.js" */

/** The further actions on a room. @param {Place & {anchor: HTMLElement, onClose: () => void}} props */
export function RoomMenu({ store, room, anchor, onClose }) {
  const { kind, level, is_favourite } = room.room.value;
  const levels = { all: _("All messages"), mentions: _("Mentions only"), nothing: _("Nothing") };
  const item = (/** @type {string} */ label, /** @type {() => unknown} */ act, style = "") => html`<button type="button" class=${style} onClick=${() => (onClose(), act())}>${label}</button>`;
  const dialog = (/** @type {string} */ of) => () => store.show(of, { room });
  return html`
    <${Floating} anchor=${anchor} label=${_("More")} class="room-menu menu-items" onClose=${onClose}>
      <fieldset class="menu-choice">
        <legend>${_("Tell me about")}</legend>
        ${Object.entries(levels).map(([value, words]) => html`
          <label class="check"><input type="radio" name="level" checked=${value === level} onClick=${(/** @type {Event} */ event) => (event.preventDefault(), setOwn(store, room, { level: value }))} /> ${words}</label>`)}
      </fieldset>
      ${item(is_favourite ? _("Remove from favourites") : _("Add to favourites"), () => setOwn(store, room, { is_favourite: !is_favourite }))}
      ${item(_("About this room"), dialog("RoomInfo"))}
      ${kind !== "direct" && store.rank(room) >= MEMBER && item(_("Invite people…"), dialog("Invite"))}
      ${kind !== "direct" && item(_("Leave the room"), dialog("LeaveRoom"), "danger")}
    <//>`;
}
