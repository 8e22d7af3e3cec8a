import { useEffect } from "preact/hooks";
import { _ } from "realtime/texts";

import { Composer } from "./composer.js";
import { OpenDialog } from "./dialogs.js";
import { useDrawer } from "./drawer.js";
import { html } from "./html.js";
import { CloseIcon, IconButton } from "./icons.js";
import { backToComposer, useKeys } from "./keys.js";
import { lazy } from "./lazy.js";
import { MessageList } from "./message-list.js";
import { RoomHead } from "./room-head.js";
import { titleOf } from "../lib/room-list.js";
import { Sidebar } from "./sidebar.js";
/** @import {ChatStore, Place} from "../types.js" */

const Bars = lazy(() => import("./bars.js"), "Bars");
const NoRoom = lazy(() => import("./no-room.js"), "NoRoom");
const TabIcon = lazy(() => import("./tab-icon.js"), "TabIcon", { isLater: true });
/** The panels beside the messages. @type {Record<string, any>} */
const PANELS = { people: lazy(() => import("./people-panel.js"), "PeoplePanel", { isLater: true }), search: lazy(() => import("./search-panel.js"), "SearchPanel") };

/** The chat page, below the header of the site. @param {{store: ChatStore}} props */
export function App({ store }) {
  const room = store.current.value;
  useTitle(store);
  useKeys(store);
  useDrawer(store);
  return html`
    <${Sidebar} store=${store} />
    <div class="room-pane">
      <${Bars} store=${store} />
      ${room ? html`<${RoomPane} key=${room.id} store=${store} room=${room} />` : html`<${NoRoom} store=${store} /><${Notice} store=${store} />`}
    </div>
    ${room && html`<${Panel} store=${store} room=${room} />`}
    ${store.drawer.value && html`<div class="scrim" onClick=${() => (store.drawer.value = null)}></div>`}
    <${Announcer} store=${store} />
    <${TabIcon} store=${store} />
    <${OpenDialog} store=${store} />`;
}

/** @param {Place} props */
const RoomPane = ({ store, room }) => html`
  <${RoomHead} store=${store} room=${room} />
  <${MessageList} store=${store} room=${room} onDone=${backToComposer} />
  <${Notice} store=${store} />
  <${Composer} store=${store} room=${room} onSent=${() => room.toEnd()} />`;

/** The panel beside the messages. @param {Place} props */
function Panel({ store, room }) {
  const name = store.panel.value;
  const closePanel = () => {
    store.panel.value = "people";
    store.drawer.value = null;
  };
  return html`
    <aside class="panel" id="panel" tabindex="-1" aria-label=${name === "search" ? _("Search") : _("People in this room")} data-open=${store.drawer.value === "panel"} data-panel=${name}>
      <${PANELS[name]} key=${name} store=${store} room=${room} onClose=${closePanel} />
    </aside>`;
}

/** The last failure, until the reader closes it or something succeeds. @param {{store: ChatStore}} props */
function Notice({ store }) {
  const text = store.notice.value;
  return text && html`
    <div class="composer-note failed" role="alert">
      <span><span aria-hidden="true">⚠ </span>${text}</span>
      <${IconButton} label=${_("Close")} icon=${CloseIcon} onClick=${() => ((store.notice.value = ""), backToComposer())} />
    </div>`;
}

/** The title says how much is unread. @param {ChatStore} store */
function useTitle(store) {
  const title = titleOf(store.current.value?.room.value ?? null, store.tenant.name, store.attention.value.count);
  useEffect(() => void (document.title = title), [title]);
}

/** Two regions in turn: a screen reader says a text again only if it is new in its region. @param {{store: ChatStore}} props */
function Announcer({ store }) {
  const { text, turn } = store.announcement.value;
  return html`
    <div class="visually-hidden" aria-live="polite">${turn % 2 === 0 ? text : ""}</div>
    <div class="visually-hidden" aria-live="polite">${turn % 2 === 1 ? text : ""}</div>`;
}
