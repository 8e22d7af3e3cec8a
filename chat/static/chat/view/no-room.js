import { _ } from "realtime/texts";

import { copy } from "../state/clipboard.js";
import { html } from "./html.js";
/** @import {ChatStore, Place} from "../types.js" */

/** What to do where no room is open. @param {{store: ChatStore}} props */
export const NoRoom = ({ store }) => html`
  <div class="no-room">
    <h1>${_("No room is open")}</h1>
    <p class="muted">${_("Join one that is here, or make a new one.")}</p>
    <div class="actions">
      <button type="button" class="button drawer-button" aria-controls="rooms" onClick=${() => (store.drawer.value = "rooms")}>${_("Rooms")}</button>
      <button type="button" class="button" onClick=${() => store.show("BrowseRooms")}>${_("Browse rooms")}</button>
      <button type="button" class="button primary" onClick=${() => store.show("CreateRoom")}>${_("New room")}</button>
    </div>
  </div>`;

/** What can be done in a room without messages. @param {Place & {onWrite: () => void}} props */
export function FirstSteps({ store, room, onWrite }) {
  const copyLink = () => copy(store, `${location.origin}${location.pathname}#room-${room.id}`, _("The link is copied."));
  return html`
    <p class="beginning-steps">
      <button type="button" class="button primary" onClick=${onWrite}>${_("Write the first message")}</button>
      <button type="button" class="button" onClick=${copyLink}>${_("Copy the room’s link")}</button>
    </p>`;
}
