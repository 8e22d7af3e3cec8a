import { useEffect, useState } from "preact/hooks";

import { AnnouncementBar } from "./announcement-bar.js";
import { Composer } from "./composer.js";
import { ConnectionBar } from "./connection-bar.js";
import { CreateRoomDialog, DeleteDialog, LeaveRoomDialog } from "./dialogs.js";
import { counted } from "../lib/format.js";
import { html } from "./html.js";
import { CloseIcon, HashIcon, LeaveIcon, LockIcon, MenuIcon, PeopleIcon } from "./icons.js";
import { focusComposer, useKeys } from "./keys.js";
import { MessageList } from "./message-list.js";
import { PeoplePanel } from "./people-panel.js";
import { titleOf } from "../lib/room-list.js";
import { Sidebar } from "./sidebar.js";
import { RoomSwitcher } from "./switcher.js";

/** The chat page, below the header of the site. @param {{store: import("../state/store.js").ChatStore}} props */
export function App({ store }) {
  const [drawer, setDrawer] = useState(/** @type {"rooms" | "people" | null} */ (null));
  const [dialog, setDialog] = useState(/** @type {"create" | "leave" | "switch" | null} */ (null));
  const room = store.current.value;
  const isOnline = store.connection.value.name === "online";
  const closeDialog = () => setDialog(null);
  useTitle(titleOf(room?.room.value ?? null, store.tenant.name, store.unread.value));
  useKeys(store, { isBusy: dialog !== null || store.actions.toDelete.value !== null, isDrawerOpen: drawer !== null, closeDrawer: () => setDrawer(null), find: () => setDialog("switch") });
  return html`
    <${Sidebar} store=${store} isOpen=${drawer === "rooms"} onClose=${() => setDrawer(null)}
      onCreate=${() => setDialog("create")} onSwitch=${() => setDialog("switch")} />
    <div class="room-pane">
      <${ConnectionBar} store=${store} />
      <${AnnouncementBar} store=${store} />
      ${room
        ? html`<${RoomPane} key=${room.id} store=${store} room=${room} drawer=${drawer} setDrawer=${setDrawer}
            onLeave=${() => setDialog("leave")} />`
        : html`<${NoRoom} onRooms=${() => setDrawer("rooms")} onCreate=${() => setDialog("create")} />
            <${Notice} store=${store} />`}
    </div>
    ${room && html`<${PeoplePanel} room=${room} me=${store.me} isOnline=${isOnline} isOpen=${drawer === "people"} onClose=${() => setDrawer(null)} />`}
    ${drawer && html`<div class="scrim" onClick=${() => setDrawer(null)}></div>`}
    <${Announcer} store=${store} />
    ${dialog === "create" && html`<${CreateRoomDialog} store=${store} onClose=${closeDialog} />`}
    ${dialog === "switch" && html`<${RoomSwitcher} store=${store} onClose=${closeDialog} />`}
    ${store.actions.toDelete.value && html`<${DeleteDialog} store=${store} />`}
    ${dialog === "leave" && room && html`<${LeaveRoomDialog} store=${store} room=${room} onClose=${closeDialog} />`}`;
}

/**
 * @param {{store: import("../state/store.js").ChatStore, room: import("../state/room-store.js").RoomStore, drawer: string | null,
 *   setDrawer: (drawer: "rooms" | "people" | null) => void, onLeave: () => void}} props
 */
function RoomPane({ store, room, drawer, setDrawer, onLeave }) {
  const { name, is_public, is_member } = room.room.value;
  const here = room.present.value.count;
  const isOnline = store.connection.value.name === "online";
  // A screen keyboard would cover the messages.
  const toComposer = () => matchMedia("(pointer: fine)").matches && focusComposer();
  const scrollToEnd = () => {
    room.isAtEnd.value = true;
    if (room.timeline.value?.hasNewer) room.jumpToEnd();
  };
  return html`
    <header class="room-head">
      <button type="button" class="icon-button drawer-button" aria-label="Rooms" aria-controls="rooms" aria-expanded=${drawer === "rooms"}
        onClick=${() => setDrawer("rooms")}><${MenuIcon} />
        ${store.unread.value > 0 && html`<span class="dot"><span class="visually-hidden">${store.unread.value} unread</span></span>`}
      </button>
      <span class="room-kind">${is_public ? html`<${HashIcon} />` : html`<${LockIcon} />`}</span>
      <h1><bdi>${name}</bdi></h1>
      <span class="here-count muted">${isOnline && html`${counted(here, "person", "people")} here`}</span>
      <button type="button" class="icon-button people-button" aria-label="People" title="People" aria-controls="people"
        aria-expanded=${drawer === "people"} onClick=${() => setDrawer("people")}><${PeopleIcon} /></button>
      ${is_member && html`<button type="button" class="icon-button" aria-label=${`Leave ${name}`} title="Leave the room" onClick=${onLeave}><${LeaveIcon} /></button>`}
    </header>
    <${MessageList} store=${store} room=${room} onDone=${toComposer} />
    <${Notice} store=${store} />
    <${Composer} store=${store} room=${room} onSent=${scrollToEnd} />`;
}

/** The last failure, until the reader closes it or something succeeds. @param {{store: import("../state/store.js").ChatStore}} props */
function Notice({ store }) {
  const text = store.notice.value;
  return text && html`
    <div class="composer-note failed" role="alert">
      <span><span aria-hidden="true">⚠ </span>${text}</span>
      <button type="button" class="icon-button" aria-label="Close" onClick=${() => (store.notice.value = "")}><${CloseIcon} /></button>
    </div>`;
}

/** @param {{onRooms: () => void, onCreate: () => void}} props */
function NoRoom({ onRooms, onCreate }) {
  return html`
    <div class="no-room">
      <h1>No room is open</h1>
      <p class="muted">Join one from the list, or make a new one.</p>
      <div class="actions">
        <button type="button" class="button drawer-button" onClick=${onRooms}>Rooms</button>
        <button type="button" class="button primary" onClick=${onCreate}>New room</button>
      </div>
    </div>`;
}

/** @param {string} title */
function useTitle(title) {
  useEffect(() => void (document.title = title), [title]);
}

/** Two regions in turn: a screen reader says a text again only if it is new in its region. @param {{store: import("../state/store.js").ChatStore}} props */
function Announcer({ store }) {
  const { text, turn } = store.announcement.value;
  return html`
    <div class="visually-hidden" aria-live="polite">${turn % 2 === 0 ? text : ""}</div>
    <div class="visually-hidden" aria-live="polite">${turn % 2 === 1 ? text : ""}</div>`;
}
