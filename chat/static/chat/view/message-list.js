import { useMemo } from "preact/hooks";

import { counted, dayText, fullTimeText, timeText } from "../lib/format.js";
import { html } from "./html.js";
import { DownIcon } from "./icons.js";
import { linkified } from "../lib/linkify.js";
import { Avatar } from "./people-panel.js";
import { rowsOf } from "../lib/rows.js";
import { useScroll } from "./scroll.js";

/**
 * The messages of a room, with the newest at the end.
 * @param {{store: import("../state/store.js").ChatStore, room: import("../state/room-store.js").RoomStore}} props
 */
export function MessageList({ store, room }) {
  const timeline = room.timeline.value;
  const outbox = store.sender.outbox.value;
  const newAfterSeq = room.newAfterSeq.value;
  const rows = useMemo(
    () => rowsOf(timeline?.messages ?? [], entriesOf(outbox, room.id, timeline), { me: store.me, newAfterSeq }),
    [timeline, outbox, newAfterSeq, room],
  );
  const scroll = useScroll(room, rows);
  return html`
    <div class="messages-frame">
      <div class="messages" ref=${scroll.ref} onScroll=${scroll.onScroll} tabindex="0" role="log" aria-live="off"
        aria-label=${`Messages in ${room.room.value.name}`} aria-busy=${room.isLoading.value}>
        <${Beginning} room=${room} timeline=${timeline} />
        ${rows.map((row) => html`<${Row} key=${row.key} row=${row} store=${store} />`)}
      </div>
      <${JumpButton} room=${room} onJump=${scroll.toEnd} />
    </div>`;
}

/**
 * The unconfirmed messages of this room that are not on the page yet.
 * @param {readonly import("../lib/outbox.js").Entry[]} outbox
 * @param {number} roomId
 * @param {import("../lib/timeline.js").Timeline | null} timeline
 */
function entriesOf(outbox, roomId, timeline) {
  if (timeline?.hasNewer) return [];
  const arrived = new Set(timeline?.messages.map((message) => message.client_msg_id));
  return outbox.filter((entry) => entry.room_id === roomId && !arrived.has(entry.client_msg_id));
}

/** @param {{room: import("../state/room-store.js").RoomStore, timeline: import("../lib/timeline.js").Timeline | null}} props */
function Beginning({ room, timeline }) {
  if (timeline === null || timeline.hasOlder) {
    return html`<p class="messages-beginning muted">${room.error.value || "Loading…"}</p>`;
  }
  const { name, is_public } = room.room.value;
  return html`
    <div class="messages-beginning">
      <h2>${name}</h2>
      <p class="muted">This is where the ${is_public ? "room" : "private room"} begins.${timeline.messages.length === 0 ? " Say something!" : ""}</p>
    </div>`;
}

/** @param {{row: import("../lib/rows.js").Row, store: import("../state/store.js").ChatStore}} props */
function Row({ row, store }) {
  if (row.kind === "day") return html`<div class="day-row" data-row><span>${dayText(row.at, new Date())}</span></div>`;
  if (row.kind === "new") return html`<div class="new-row" data-row><span>New messages</span></div>`;
  return html`<${MessageRow} row=${row} store=${store} />`;
}

/** @param {{row: import("../lib/rows.js").MessageRow, store: import("../state/store.js").ChatStore}} props */
function MessageRow({ row, store }) {
  const { author, at, entry } = row;
  return html`
    <article class="message" data-row data-own=${row.isOwn} data-first=${row.startsGroup} data-state=${entry?.state ?? "sent"}>
      ${row.startsGroup && html`<${Avatar} user=${author} />`}
      <header class=${row.startsGroup ? "message-head" : "message-head visually-hidden"}>
        <span class="message-author">${author.username}</span>
        ${row.isOwn && html`<span class="message-you">you</span>`}
      </header>
      <time class="message-time" datetime=${at.toISOString()} title=${fullTimeText(at)}>${timeText(at)}</time>
      <div class="message-text"><${Text} text=${row.text} /></div>
      ${entry && html`<${Delivery} entry=${entry} store=${store} />`}
    </article>`;
}

/** @param {{text: string}} props */
function Text({ text }) {
  const parts = useMemo(() => linkified(text), [text]);
  return parts.map(({ text: part, url }) =>
    url ? html`<a href=${url} target="_blank" rel="noopener noreferrer nofollow ugc">${part}</a>` : part,
  );
}

/** @param {{entry: import("../lib/outbox.js").Entry, store: import("../state/store.js").ChatStore}} props */
function Delivery({ entry, store }) {
  const { client_msg_id: id, state, error } = entry;
  if (state !== "failed") {
    const isStuck = state === "waiting" && store.connection.value.name !== "online";
    return html`<div class="delivery">${isStuck ? "Waits for the connection" : "Sending…"}</div>`;
  }
  return html`
    <div class="delivery failed" role="alert">
      <span>Not sent. ${error}</span>
      <button type="button" class="button small" onClick=${() => store.sender.again(id)}>Try again</button>
      <button type="button" class="button small" onClick=${() => store.sender.forget(id)}>Discard</button>
    </div>`;
}

/** @param {{room: import("../state/room-store.js").RoomStore, onJump: () => void}} props */
function JumpButton({ room, onJump }) {
  const { unread } = room.room.value;
  if (room.timeline.value === null || (room.isAtEnd.value && !room.timeline.value.hasNewer)) return null;
  return html`
    <button type="button" class="jump-button" onClick=${onJump}>
      <${DownIcon} />${unread > 0 ? counted(unread, "new message") : "To the newest"}
    </button>`;
}
