import { useEffect, useMemo, useRef } from "preact/hooks";
import { _, ngettext } from "realtime/texts";

import { dayText } from "../lib/format.js";
import { placeOf } from "../lib/room-list.js";
import { blocksOf, rowsOf } from "../lib/rows.js";
import { html } from "./html.js";
import { DownIcon } from "./icons.js";
import { lazy } from "./lazy.js";
import { MessageRow, RowTools } from "./message-row.js";
import { useScroll } from "./scroll.js";
/** @import {Entry, Place, RoomStore, Timeline} from "../types.js" */

// More rows than a room opens with. Only of so many some are left out: they have been laid out, and the browser knows their heights.
const MANY_ROWS = 128;

const FirstSteps = lazy(() => import("./no-room.js"), "FirstSteps");
const ListKeys = lazy(() => import("./list-keys.js"), "ListKeys");
const RowFloating = lazy(() => import("./row-menu.js"), "RowFloating");

/** The messages of a room, with the newest at the end. @param {Place & {onDone: () => void}} props onDone: the reader leaves the list */
export function MessageList({ store, room, onDone }) {
  const timeline = room.timeline.value;
  const outbox = store.sender.outbox.value;
  const newAfterSeq = room.newAfterSeq.value;
  const caches = useRef({ rows: new WeakMap(), drawn: new WeakMap() });
  const rows = useMemo(() => {
    const { messages = [], hasOlder = false } = timeline ?? {};
    return rowsOf(messages, entriesOf(outbox, room.id, timeline), { me: store.me, newAfterSeq, isMarkedHere: room.isKeptUnread, hasOlder, cache: caches.current.rows });
  }, [timeline, outbox, newAfterSeq]);
  const isLean = rows.length > MANY_ROWS && room.isAtEnd.value && timeline?.hasNewer === false;
  const scroll = useScroll(room, rows, isLean);
  const draw = (/** @type {import("../lib/rows.js").Row} */ row) => drawn(row, caches.current.drawn, { store, room });
  // Before the first message has the focus, so that a key that follows at once finds them. A failure is told when they are drawn.
  const isStarting = store.isStarting.value;
  useEffect(() => void (isStarting || RowTools.load()), [isStarting]);
  return html`
    <div class="messages-frame">
      <div class="messages" ref=${scroll.ref} onScroll=${scroll.onScroll} onClick=${followLink}
        tabindex="0" role="log" aria-live="off" aria-label=${_("Messages in {room}", { room: room.room.value.name })} aria-busy=${room.requests.isLoading.value} data-lean=${isLean}>
        <div>
          <${Beginning} store=${store} room=${room} timeline=${timeline} onWrite=${onDone} />
          ${blocksOf(rows).map((part) => (part.kind === "day" ? draw(part) : html`<div class="rows" key=${part.key}>${part.rows.map(draw)}</div>`))}
        </div>
      </div>
      <${ListKeys} store=${store} list=${scroll.ref} onDone=${onDone} />
      <${JumpButton} room=${room} onJump=${() => scroll.toEnd().then(onDone)} />
      ${store.actions.floating.value && html`<${RowFloating} store=${store} room=${room} onClose=${() => (store.actions.floating.value = null)} />`}
    </div>`;
}

/** Links to messages of this chat lead there in this window. @param {MouseEvent} event */
function followLink(event) {
  const link = /** @type {Element} */ (event.target).closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.origin !== location.origin || link.pathname !== location.pathname || placeOf(link.hash) === null) return;
  event.preventDefault();
  if (link.hash === location.hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = link.hash;
}

/**
 * The element of a row. The same row is the same element, which Preact does not look into again.
 * @param {import("../lib/rows.js").Row} row @param {WeakMap<object, any>} cache @param {Place} place
 */
function drawn(row, cache, { store, room }) {
  const known = cache.get(row);
  if (known) return known;
  const { kind, key } = row;
  const element = kind === "message" ? html`<${MessageRow} key=${key} row=${row} store=${store} room=${room} />`
    : kind === "day" ? html`<${DayRow} key=${key} at=${row.at} store=${store} room=${room} />`
    : html`<div key=${key} class="new-row" role="separator" aria-label=${_("New messages")}><span>${_("New messages")}</span></div>`;
  cache.set(row, element);
  return element;
}

/**
 * The unconfirmed messages of this room that are not on the page yet.
 * @param {readonly Entry[]} outbox @param {number} roomId @param {Timeline | null} timeline
 */
function entriesOf(outbox, roomId, timeline) {
  if (timeline?.hasNewer) return [];
  const arrived = new Set(timeline?.messages.map((message) => message.client_msg_id));
  return outbox.filter((entry) => entry.room_id === roomId && !arrived.has(entry.client_msg_id));
}

/** @param {Place & {timeline: Timeline | null, onWrite: () => void}} props */
function Beginning({ store, room, timeline, onWrite }) {
  if (timeline === null || timeline.hasOlder) {
    return html`<p class="messages-beginning muted">${room.requests.errors.value["message.list"] || _("Loading…")}</p>`;
  }
  const { name, is_public } = room.room.value;
  return html`
    <div class="messages-beginning">
      <h2><bdi>${name}</bdi></h2>
      <p class="muted">${is_public ? _("This is where the room begins.") : _("This is where the private room begins.")}</p>
      ${timeline.messages.length === 0 && html`<${FirstSteps} store=${store} room=${room} onWrite=${onWrite} />`}
    </div>`;
}

/** The day of the messages below it, which leads to other days. @param {Place & {at: Date}} props */
function DayRow({ at, store, room }) {
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));
  const jump = (/** @type {any} */ { target }) => target.value && room.jumpToDay(new Date(`${target.value}T00:00`));
  return html`
    <div class="day-row">
      <button type="button" title=${_("Jump to a date")} onClick=${() => picker.current?.showPicker()}>${dayText(at, new Date(store.today.value))}</button>
      <input type="date" class="visually-hidden" ref=${picker} tabindex="-1" aria-label=${_("Jump to a date")} onChange=${jump} />
    </div>`;
}

/** @param {{room: RoomStore, onJump: () => void}} props */
function JumpButton({ room, onJump }) {
  const { unread } = room.room.value;
  if (room.timeline.value === null || (room.isAtEnd.value && !room.timeline.value.hasNewer)) return null;
  return html`
    <button type="button" class="jump-button" onClick=${onJump}>
      <${DownIcon} />${unread > 0 ? ngettext("{count} new message", "{count} new messages", unread) : _("To the newest")}
    </button>`;
}
