import { useComputed } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { _ } from "realtime/texts";

import { fullTimeText, nameOf, summaryOf, timeText } from "../lib/format.js";
import { FileList } from "./files.js";
import { html } from "./html.js";
import { backToComposer } from "./keys.js";
import { lazy } from "./lazy.js";
import { Avatar } from "./avatar.js";
import { elementsOf } from "./server-html.js";
/** @import {ChatStore, Entry, Message, Place, Quote, RoomStore} from "../types.js" */

const Attachments = lazy(() => import("./attachments.js"), "Attachments");
export const RowTools = lazy(() => import("./row-tools.js"), "RowTools");

const LONE_EMOJI = /^\s*(?:\p{RGI_Emoji}\s*){1,3}$/v;

/** One message, sent or on its way. @param {Place & {row: import("../lib/rows.js").MessageRow}} props */
export function MessageRow({ row, store, room }) {
  const { author, at, entry, message, key } = row;
  const [isActive, setActive] = useState(false);
  // Its tools stay as long as something is open beside them.
  const isOpen = useComputed(() => store.actions.floating.value?.message.client_msg_id === key).value;
  const isDeleted = message?.deleted === true;
  const quote = message ? message.reply_to : room.message(entry?.reply_to ?? 0);
  // A browser may take a finger for a mouse that has left at once: then the message has the tools as long as it has the focus.
  const isTouched = useRef(false);
  const enter = () => setActive(true);
  const click = (/** @type {PointerEvent} */ event) => {
    isTouched.current = event.pointerType === "touch";
    enter();
  };
  // A finger meets the message before it is known what it does. If the tools came then, it would press one of them.
  const hover = (/** @type {PointerEvent} */ event) => event.pointerType !== "touch" && enter();
  const focus = (/** @type {FocusEvent} */ event) => /** @type {Element} */ (event.target).matches(":focus-visible, .message-tools *") && enter();
  const leave = (/** @type {FocusEvent} */ event) => {
    const article = /** @type {HTMLElement} */ (event.currentTarget);
    if (!article.contains(/** @type {Node | null} */ (event.relatedTarget))) setActive(false);
  };
  return html`
    <article class="message" tabindex="-1" data-seq=${message?.seq} data-own=${row.isOwn} data-first=${row.startsGroup} data-open=${isOpen}
      data-state=${entry?.state ?? "sent"} data-deleted=${isDeleted} data-mention=${message?.mentions?.includes(store.me.id)} aria-labelledby=${`a-${key} t-${key} x-${key}`}
      onPointerOver=${hover} onMouseLeave=${() => isTouched.current || setActive(false)} onClick=${click} onKeyDown=${enter} onFocusIn=${focus} onFocusOut=${leave}>
      ${row.startsGroup && html`<${Avatar} user=${author} room=${room} />`}
      <header class="message-head">
        <bdi id=${`a-${key}`} class=${row.startsGroup ? "message-author" : "visually-hidden"} title=${author.username}>${nameOf(author)}</bdi>
        <time id=${`t-${key}`} class="message-time" datetime=${at.toISOString()} title=${fullTimeText(at)}>${timeText(at)}</time>
      </header>
      ${quote && html`<${Quote} quote=${quote} room=${room} />`}
      <${MessageBody} id=${`x-${key}`} message=${message} entry=${entry} store=${store} />
      ${message?.edited_at && !isDeleted && html`<span class="message-edited muted" title=${fullTimeText(new Date(message.edited_at))}>${_("edited")}</span>`}
      ${message && message.reactions?.length > 0 && html`<${Reactions} message=${message} store=${store} />`}
      ${entry && html`<${Delivery} entry=${entry} store=${store} />`}
      ${(isActive || isOpen) && message && !isDeleted && room.room.value.is_member && html`<${RowTools} message=${message} store=${store} />`}
    </article>`;
}

/**
 * The text and the files of a message, sent or on its way.
 * @param {{message: Message | null, entry?: Entry | null, store: ChatStore, id?: string}} props
 */
export function MessageBody({ message, entry = null, store, id }) {
  const text = message?.text ?? entry?.text ?? "";
  return html`
    <div id=${id} class="message-body">
      ${message?.deleted
        ? html`<p class="message-text muted">${_("This message was deleted.")}</p>`
        : text && html`<${Text} message=${message} text=${text} store=${store} />`}
      ${message && message.files.length > 0 && html`<${FileList} message=${message} store=${store} />`}
      ${entry?.files && entry.files.length > 0 && html`<${Attachments} store=${store} files=${entry.files} />`}
    </div>`;
}

/** @param {{message: Message | null, text: string, store: ChatStore}} props */
function Text({ message, text, store }) {
  const shown = message?.html ? message.html.replace(/<\/?p>/g, "") : text;
  const size = useMemo(() => (LONE_EMOJI.test(shown) ? "large" : null), [shown]);
  return message?.html
    ? html`<${ServerText} source=${message.html} size=${size} store=${store} />`
    : html`<div class="message-text plain" dir="auto" data-size=${size}>${text}</div>`;
}

/** @param {{source: string, size: string | null, store: ChatStore}} props */
function ServerText({ source, size, store }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const elements = elementsOf(source);
    for (const own of elements.querySelectorAll(`[data-user-id="${store.me.id}"]`)) own.classList.add("own");
    element.current?.replaceChildren(elements);
    // The rooms are not read through the signal: a row is drawn again for its message only.
    if (/#|<pre/.test(source)) import("./text-extras.js").then(({ addExtras }) => element.current && addExtras(element.current, store.rooms.peek()), () => {});
  }, [source, store]);
  return html`<div ref=${element} class="message-text" dir="auto" data-size=${size}></div>`;
}

/** @param {{quote: Quote, room: RoomStore}} props */
const Quote = ({ quote, room }) => html`
  <button type="button" class="quote" onClick=${() => room.jumpTo(quote.seq)}>
    <span class="visually-hidden">${_("Answers")} </span><bdi class="quote-author">${nameOf(quote.author)}</bdi>
    <bdi class="quote-text">${quote.deleted ? _("Deleted message") : summaryOf(quote)}</bdi>
  </button>`;

/** The focus stays at the message if the reader takes back the only one. @param {{message: Message, store: ChatStore}} props */
const Reactions = ({ message, store }) => html`
  <div class="reactions">
    ${message.reactions.map(({ emoji, count, mine }) => html`
      <button type="button" key=${emoji} class="reaction" aria-pressed=${mine === true}
        aria-label=${`${emoji} ${count}${mine ? _(", yours among them") : ""}`} onClick=${(/** @type {any} */ { target }) => (mine && count === 1 && target.closest("article").focus(), store.actions.react(message, emoji))}>
        <span>${emoji}</span> ${count}
      </button>`)}
  </div>`;

/** How a message gets to the server, and what the reader can do about it. @param {{entry: Entry, store: ChatStore}} props */
function Delivery({ entry, store }) {
  const { client_msg_id: id, state, error } = entry;
  const isFailed = state === "failed";
  const waiting = state === "waiting" && !store.isOnline.value ? _("Waits for the connection") : _("Sending…");
  const button = (/** @type {string} */ words, /** @type {() => void} */ act) => html`<button type="button" class="button small" onClick=${act}>${words}</button>`;
  return html`
    <div class="delivery" role=${isFailed ? "alert" : null} data-late=${state !== "sending" || !store.isOnline.value}>
      <span>${isFailed ? html`<span aria-hidden="true">⚠ </span>${_("Not sent.")} ${error}` : waiting}</span>
      ${isFailed && button(_("Try again"), () => store.sender.again(id))}
      ${button(_("Edit"), () => store.actions.takeBack(entry))}${button(_("Discard"), () => (store.actions.discard(entry), backToComposer()))}
    </div>`;
}
