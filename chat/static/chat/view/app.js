import { useEffect, useState } from "preact/hooks";

import { AnnouncementBar } from "./announcement-bar.js";
import { Composer } from "./composer.js";
import { ConnectionBar } from "./connection-bar.js";
import { CreateRoomDialog, LeaveRoomDialog, RoomSwitcher } from "./dialogs.js";
import { counted } from "../lib/format.js";
import { html } from "./html.js";
import { HashIcon, LeaveIcon, LockIcon, MenuIcon, PeopleIcon } from "./icons.js";
import { MessageList } from "./message-list.js";
import { PeoplePanel } from "./people-panel.js";
import { titleOf } from "../lib/room-list.js";
import { Sidebar } from "./sidebar.js";

/** The chat page, below the header of the site. @param {{store: import("../state/store.js").ChatStore}} props */
export function App({ store }) {
  const [drawer, setDrawer] = useState(/** @type {"rooms" | "people" | null} */ (null));
  const [dialog, setDialog] = useState(/** @type {"create" | "leave" | "switch" | null} */ (null));
  const room = store.current.value;
  const closeDialog = () => setDialog(null);
  useTitle(titleOf(room?.room.value ?? null, store.tenant.name, store.unread.value));
  useKeys(store, { isBusy: dialog !== null, isDrawerOpen: drawer !== null, closeDrawer: () => setDrawer(null), find: () => setDialog("switch") });
  return html`
    <${Sidebar} store=${store} isOpen=${drawer === "rooms"} onClose=${() => setDrawer(null)}
      onCreate=${() => setDialog("create")} onSwitch=${() => setDialog("switch")} />
    <div class="room-pane">
      <${ConnectionBar} store=${store} />
      <${AnnouncementBar} store=${store} />
      ${room
        ? html`<${RoomPane} key=${room.id} store=${store} room=${room} drawer=${drawer} setDrawer=${setDrawer}
            onLeave=${() => setDialog("leave")} />`
        : html`<${NoRoom} onRooms=${() => setDrawer("rooms")} onCreate=${() => setDialog("create")} />`}
    </div>
    ${room && html`<${PeoplePanel} room=${room} me=${store.me} isOpen=${drawer === "people"} onClose=${() => setDrawer(null)} />`}
    ${drawer && html`<div class="scrim" onClick=${() => setDrawer(null)}></div>`}
    <div class="visually-hidden" aria-live="polite">${store.announcement.value}</div>
    ${dialog === "create" && html`<${CreateRoomDialog} store=${store} onClose=${closeDialog} />`}
    ${dialog === "switch" && html`<${RoomSwitcher} store=${store} onClose=${closeDialog} />`}
    ${dialog === "leave" && room && html`<${LeaveRoomDialog} store=${store} room=${room} onClose=${closeDialog} />`}`;
}

/**
 * @param {{store: import("../state/store.js").ChatStore, room: import("../state/room-store.js").RoomStore, drawer: string | null,
 *   setDrawer: (drawer: "rooms" | "people" | null) => void, onLeave: () => void}} props
 */
function RoomPane({ store, room, drawer, setDrawer, onLeave }) {
  const { name, is_public } = room.room.value;
  const here = room.present.value.count;
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
      <h1>${name}</h1>
      <span class="here-count muted">${counted(here, "person", "people")} here</span>
      <button type="button" class="icon-button people-button" aria-label="People" title="People" aria-controls="people"
        aria-expanded=${drawer === "people"} onClick=${() => setDrawer("people")}><${PeopleIcon} /></button>
      <button type="button" class="icon-button" aria-label=${`Leave ${name}`} title="Leave the room" onClick=${onLeave}><${LeaveIcon} /></button>
    </header>
    <${MessageList} store=${store} room=${room} />
    <${Composer} store=${store} room=${room} onSent=${scrollToEnd} />`;
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

/**
 * @param {import("../state/store.js").ChatStore} store
 * @param {{isBusy: boolean, isDrawerOpen: boolean, closeDrawer: () => void, find: () => void}} page
 */
function useKeys(store, { isBusy, isDrawerOpen, closeDrawer, find }) {
  useEffect(() => {
    if (isBusy) return undefined;
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      const act = actionOf(event, { store, isDrawerOpen, closeDrawer, find });
      if (act === null) return;
      // With Escape the browser also closes its own dialogs.
      if (event.key !== "Escape") event.preventDefault();
      act();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [store, isBusy, isDrawerOpen]);
}

/**
 * The action of a key on the page, or nothing.
 * @param {KeyboardEvent} event
 * @param {{store: import("../state/store.js").ChatStore, isDrawerOpen: boolean, closeDrawer: () => void, find: () => void}} page
 */
function actionOf(event, { store, isDrawerOpen, closeDrawer, find }) {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) return find;
  if (event.key === "ArrowUp" && event.altKey) return () => store.selectNeighbour(-1);
  if (event.key === "ArrowDown" && event.altKey) return () => store.selectNeighbour(1);
  const isForBrowser = event.isComposing || document.querySelector(":popover-open") !== null;
  if (event.key === "Escape" && !isForBrowser) return isDrawerOpen ? closeDrawer : () => store.markCurrentRead();
  return null;
}
