import { useDrawer } from "./drawer.js";
import { counted } from "../lib/format.js";
import { html } from "./html.js";
import { CloseIcon, EditIcon, HashIcon, LockIcon, PlusIcon, SearchIcon } from "./icons.js";

const UNREAD_SHOWN_MAX = 99;

/**
 * The user's rooms, and the rooms that the user could join. A drawer on small screens.
 * @param {{store: import("../state/store.js").ChatStore, isOpen: boolean, onClose: () => void, onCreate: () => void, onSwitch: () => void}} props
 */
export function Sidebar({ store, isOpen, onClose, onCreate, onSwitch }) {
  const closeButton = useDrawer(isOpen);
  const select = (/** @type {number} */ id) => {
    store.select(id);
    onClose();
  };
  return html`
    <nav class="sidebar" id="rooms" aria-label="Rooms" data-open=${isOpen}>
      <div class="sidebar-head">
        <h2>Rooms</h2>
        <button type="button" class="icon-button" title="Find a room (Ctrl+K)" aria-label="Find a room" onClick=${onSwitch}><${SearchIcon} /></button>
        <button type="button" class="icon-button" title="New room" aria-label="New room" onClick=${onCreate}><${PlusIcon} /></button>
        <button type="button" ref=${closeButton} class="icon-button drawer-only" aria-label="Close the list of rooms"
          onClick=${onClose}><${CloseIcon} /></button>
      </div>
      <ul class="room-list">
        ${store.joined.value.map((room) => html`<${RoomItem} key=${room.id} room=${room}
          isCurrent=${room.id === store.currentId.value} hasDraft=${store.drafts.rooms.value.has(room.id)} onSelect=${select} />`)}
      </ul>
      ${store.joined.value.length === 0 && html`<p class="sidebar-empty muted">You are in no room yet.</p>`}
      ${store.joinable.value.length > 0 && html`<h3 class="sidebar-title">More rooms</h3>`}
      <ul class="room-list">
        ${store.joinable.value.map((room) => html`
          <li key=${room.id} class="room-item joinable">
            <${HashIcon} />
            <span class="room-name" title=${counted(room.member_count, "member")}><bdi>${room.name}</bdi></span>
            <button type="button" class="button small" aria-label=${`Join ${room.name}`}
              onClick=${() => store.joinRoom(room.id).then(onClose)}>Join</button>
          </li>`)}
      </ul>
    </nav>`;
}

/** @param {{room: import("../lib/room-list.js").Room, isCurrent: boolean, hasDraft: boolean, onSelect: (id: number) => void}} props */
function RoomItem({ room, isCurrent, hasDraft, onSelect }) {
  return html`
    <li>
      <button type="button" class="room-item" aria-current=${isCurrent ? "true" : null} data-unread=${room.unread > 0}
        onClick=${() => onSelect(room.id)}>
        ${room.is_public ? html`<${HashIcon} />` : html`<${LockIcon} />`}
        <span class="room-name"><bdi>${room.name}</bdi>${!room.is_public && html`<span class="visually-hidden"> (private)</span>`}</span>
        ${hasDraft && !isCurrent && html`<span class="draft-mark" title="You have typed something here"><${EditIcon} /><span class="visually-hidden"> draft</span></span>`}
        ${room.unread > 0 && html`
          <span class="badge">${room.unread > UNREAD_SHOWN_MAX ? `${UNREAD_SHOWN_MAX}+` : room.unread}<span class="visually-hidden"> unread</span></span>`}
      </button>
    </li>`;
}
