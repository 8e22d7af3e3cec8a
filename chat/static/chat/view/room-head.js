import { useState } from "preact/hooks";
import { _, ngettext } from "realtime/texts";

import { html } from "./html.js";
import { IconButton, InfoIcon, MenuIcon, MoreIcon, PeopleIcon, PinIcon, SearchIcon, StarIcon } from "./icons.js";
import { lazy } from "./lazy.js";
import { RoomIcon } from "./sidebar.js";
/** @import {ChatStore, Place, RoomStore} from "../types.js" */

const RoomMenu = lazy(() => import("./room-menu.js"), "RoomMenu");

/** The name of the room, what it is about, and what can be done with it. @param {Place} props */
export function RoomHead({ store, room }) {
  const { name, topic_line, kind, is_member, is_favourite } = room.room.value;
  const [menuButton, setMenuButton] = useState(/** @type {EventTarget | null} */ (null));
  const here = room.present.value.count;
  const { count } = store.attention.value;
  const panelButton = (/** @type {string} */ panel, /** @type {string} */ label, /** @type {() => any} */ icon) => html`
    <${IconButton} label=${label} icon=${icon} aria-controls="panel" aria-pressed=${store.panel.value === panel} data-panel=${panel}
      onClick=${() => store.showPanel(panel)} />`;
  return html`
    <header class="room-head">
      <button type="button" class="icon-button drawer-button" aria-label=${_("Rooms")} aria-controls="rooms" aria-expanded=${store.drawer.value === "rooms"}
        onClick=${() => (store.drawer.value = "rooms")}><${MenuIcon} />
        ${count > 0 && html`<span class="dot"><span class="visually-hidden">${count} ${_("unread")}</span></span>`}
      </button>
      <span class="room-kind"><${RoomIcon} room=${room.room.value} /></span>
      <div class="room-title">
        <h1><bdi>${name}</bdi></h1>
        ${topic_line && html`<p class="topic-line muted" title=${topic_line}><bdi>${topic_line}</bdi></p>`}
      </div>
      <span class="here-count muted">${store.isOnline.value && is_member && kind !== "direct" && ngettext("{count} person here", "{count} people here", here)}</span>
      ${is_member && html`<${IconButton} class="icon-button star-button" label=${_("Favourite")} icon=${StarIcon} aria-pressed=${is_favourite}
        onClick=${() => setOwn(store, room, { is_favourite: !is_favourite })} />`}
      ${panelButton("search", _("Search messages"), SearchIcon)}
      <${IconButton} label=${_("Pinned messages")} icon=${PinIcon} onClick=${() => store.show("Pins", { room })} />
      ${panelButton("people", _("People"), PeopleIcon)}
      <${IconButton} class="icon-button info-button" label=${_("About this room")} icon=${InfoIcon} onClick=${() => store.show("RoomInfo", { room })} />
      ${is_member && html`<${IconButton} label=${_("More about {room}", { room: name })} title=${_("More")} icon=${MoreIcon} aria-haspopup="dialog"
        onClick=${(/** @type {Event} */ event) => setMenuButton(event.currentTarget)} />`}
      ${menuButton && html`<${RoomMenu} store=${store} room=${room} anchor=${menuButton} onClose=${() => setMenuButton(null)} />`}
    </header>`;
}

/** Change the reader's own settings of a room. @param {ChatStore} store @param {RoomStore} room @param {Record<string, unknown>} settings */
export const setOwn = (store, room, settings) => store.try(store.change("room.settings", { room_id: room.id, ...settings }));
