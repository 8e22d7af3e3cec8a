import { useEffect } from "preact/hooks";

import { AnnouncementBar } from "./announcement-bar.js";
import { Composer } from "./composer.js";
import { ConnectionBar } from "./connection-bar.js";
import { OpenDialog } from "./dialogs.js";
import { html } from "./html.js";
import { CloseIcon } from "./icons.js";
import { focusComposer, useKeys } from "./keys.js";
import { lazy } from "./lazy.js";
import { MessageList } from "./message-list.js";
import { RoomHead } from "./room-head.js";
import { titleOf } from "../lib/room-list.js";
import { _ } from "../lib/texts.js";
import { Sidebar } from "./sidebar.js";

/** @typedef {import("../state/store.js").ChatStore} ChatStore */

/** The panels beside the messages. @type {Record<string, any>} */
const PANELS = { people: lazy(() => import("./people-panel.js"), "PeoplePanel"), search: lazy(() => import("./search-panel.js"), "SearchPanel") };

/** The chat page, below the header of the site. @param {{store: ChatStore}} props */
export function App({ store }) {
  const room = store.current.value;
  const closeDrawer = () => (store.drawer.value = null);
  useTitle(store);
  useKeys(store, {
    isBusy: store.dialog.value !== null,
    isDrawerOpen: store.drawer.value !== null,
    closeDrawer,
    find: () => store.show("Finder"),
  });
  return html`
    <${Sidebar} store=${store} />
    <div class="room-pane">
      <${ConnectionBar} store=${store} />
      <${AnnouncementBar} store=${store} />
      ${room ? html`<${RoomPane} key=${room.id} store=${store} room=${room} />` : html`<${NoRoom} store=${store} /><${Notice} store=${store} />`}
    </div>
    ${room && html`<${Panel} store=${store} room=${room} />`}
    ${store.drawer.value && html`<div class="scrim" onClick=${closeDrawer}></div>`}
    <${Announcer} store=${store} />
    <${OpenDialog} store=${store} />`;
}

/** @param {{store: ChatStore, room: import("../state/room-store.js").RoomStore}} props */
function RoomPane({ store, room }) {
  // A screen keyboard would cover the messages.
  const toComposer = () => matchMedia("(pointer: fine)").matches && focusComposer();
  const scrollToEnd = () => {
    room.isAtEnd.value = true;
    if (room.timeline.value?.hasNewer) room.jumpToEnd();
  };
  return html`
    <${RoomHead} store=${store} room=${room} />
    <${MessageList} store=${store} room=${room} onDone=${toComposer} />
    <${Notice} store=${store} />
    <${Composer} store=${store} room=${room} onSent=${scrollToEnd} />`;
}

/** The panel beside the messages. @param {{store: ChatStore, room: import("../state/room-store.js").RoomStore}} props */
function Panel({ store, room }) {
  const name = store.panel.value;
  return html`
    <aside class="panel" id="panel" aria-label=${name === "search" ? _("Search") : _("People in this room")} data-open=${store.drawer.value === "panel"} data-panel=${name}>
      <${PANELS[name]} key=${name} store=${store} room=${room} onClose=${() => (store.panel.value = "people")} />
    </aside>`;
}

/** The last failure, until the reader closes it or something succeeds. @param {{store: ChatStore}} props */
function Notice({ store }) {
  const text = store.notice.value;
  return text && html`
    <div class="composer-note failed" role="alert">
      <span><span aria-hidden="true">⚠ </span>${text}</span>
      <button type="button" class="icon-button" aria-label=${_("Close")} onClick=${() => (store.notice.value = "")}><${CloseIcon} /></button>
    </div>`;
}

/** @param {{store: ChatStore}} props */
function NoRoom({ store }) {
  return html`
    <div class="no-room">
      <h1>${_("No room is open")}</h1>
      <p class="muted">${_("Join one that is here, or make a new one.")}</p>
      <div class="actions">
        <button type="button" class="button drawer-button" onClick=${() => (store.drawer.value = "rooms")}>${_("Rooms")}</button>
        <button type="button" class="button" onClick=${() => store.show("BrowseRooms")}>${_("Browse rooms")}</button>
        <button type="button" class="button primary" onClick=${() => store.show("CreateRoom")}>${_("New room")}</button>
      </div>
    </div>`;
}

/** The title and the icon say how much is unread. @param {ChatStore} store */
function useTitle(store) {
  const { count, isPersonal } = store.attention.value;
  const title = titleOf(store.current.value?.room.value ?? null, store.tenant.name, count);
  useEffect(() => void (document.title = title), [title]);
  useEffect(() => {
    const icon = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[rel=icon]"));
    if (icon) icon.href = iconOf(count, isPersonal);
  }, [count, isPersonal]);
}

/** The site's icon with the number of messages that address the reader, or with a dot for other unread ones. @param {number} count @param {boolean} isPersonal */
function iconOf(count, isPersonal) {
  const mark = isPersonal
    ? `<text x="22" y="28" font-size="${count > 9 ? 14 : 17}" font-weight="bold" font-family="sans-serif" text-anchor="middle" fill="#fff">${count > 99 ? "99" : count}</text>`
    : "";
  const badge = count > 0 ? `<circle cx="22" cy="22" r="${isPersonal ? 10 : 7}" fill="${isPersonal ? "#d3291f" : "#fff"}" stroke="#5b3df5" stroke-width="2"/>${mark}` : "";
  const star = '<rect width="32" height="32" rx="8" fill="#5b3df5"/><path d="M16 5.500l2.900 6.600 7.100.7-5.400 4.800 1.600 7-6.200-3.700-6.200 3.700 1.600-7L6 12.800l7.100-.7z" fill="#fff"/>';
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${star}${badge}</svg>`)}`;
}

/** Two regions in turn: a screen reader says a text again only if it is new in its region. @param {{store: ChatStore}} props */
function Announcer({ store }) {
  const { text, turn } = store.announcement.value;
  return html`
    <div class="visually-hidden" aria-live="polite">${turn % 2 === 0 ? text : ""}</div>
    <div class="visually-hidden" aria-live="polite">${turn % 2 === 1 ? text : ""}</div>`;
}
