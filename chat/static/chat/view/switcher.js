import { useEffect, useRef, useState } from "preact/hooks";

import { roomsFound } from "../lib/room-list.js";
import { Dialog } from "./dialogs.js";
import { html } from "./html.js";

const LIST_ID = "switcher-rooms";

/** Ctrl+K: find a room by its name, and go there or join it. @param {{store: import("../state/store.js").ChatStore, onClose: () => void}} props */
export function RoomSwitcher({ store, onClose }) {
  const [query, setQuery] = useState("");
  const [index, setIndex] = useState(0);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const rooms = roomsFound([...store.joined.value, ...store.joinable.value], query);
  const active = rooms[Math.min(index, rooms.length - 1)];
  const go = (/** @type {import("../lib/room-list.js").Room} */ room) => {
    room.is_member ? store.select(room.id) : store.joinRoom(room.id);
    onClose();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.isComposing || rooms.length === 0) return;
    if (event.key === "Enter") go(active);
    else if (event.key === "ArrowDown") setIndex((index + 1) % rooms.length);
    else if (event.key === "ArrowUp") setIndex((index + rooms.length - 1) % rooms.length);
    else return;
    event.preventDefault();
  };
  const onInput = (/** @type {any} */ event) => {
    setQuery(event.target.value);
    setIndex(0);
  };
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [active?.id]);
  return html`
    <${Dialog} title="Go to a room" onClose=${onClose}>
      <label class="visually-hidden" for="room-query">Part of the name</label>
      <input id="room-query" class="input" type="text" role="combobox" autocomplete="off" placeholder="Part of the name" dir="auto"
        aria-expanded="true" aria-controls=${LIST_ID} aria-autocomplete="list" aria-activedescendant=${active ? optionId(active) : null}
        value=${query} onInput=${onInput} onKeyDown=${onKeyDown} />
      <ul class="room-list switcher" id=${LIST_ID} role="listbox" aria-label="Rooms" ref=${list}>
        ${rooms.map((room) => html`
          <li key=${room.id} id=${optionId(room)} class="room-item" role="option" aria-selected=${room === active ? "true" : "false"} onClick=${() => go(room)}>
            <span class="room-name"><bdi>${room.name}</bdi></span>
            ${!room.is_member && html`<span class="muted">Join</span>`}
            ${room.unread > 0 && html`<span class="badge">${room.unread}<span class="visually-hidden"> unread</span></span>`}
          </li>`)}
      </ul>
      <p class="muted" role="status">${rooms.length === 0 ? "No room has such a name." : ""}</p>
    <//>`;
}

/** @param {{id: number}} room */
function optionId({ id }) {
  return `switcher-room-${id}`;
}
