import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { fullTimeText, nameOf, timeText } from "../lib/format.js";
import { linkified } from "../lib/linkify.js";
import { html } from "./html.js";
import { DeleteIcon, EditIcon, ReplyIcon } from "./icons.js";
import { Avatar } from "./people-panel.js";
import { elementsOf } from "./server-html.js";

/**
 * @typedef {import("../lib/timeline.js").Message} Message
 * @typedef {{store: import("../state/store.js").ChatStore, room: import("../state/room-store.js").RoomStore}} Place
 */

const QUICK_EMOJI = ["👍", "❤️", "😂", "🎉"];
const LONE_EMOJI = /^\s*(?:\p{RGI_Emoji}\s*){1,3}$/v;

/** One message, sent or on its way. @param {Place & {row: import("../lib/rows.js").MessageRow}} props */
export function MessageRow({ row, store, room }) {
  const { author, at, entry, message, key } = row;
  const [isActive, setActive] = useState(false);
  const isDeleted = message?.deleted === true;
  const leave = (/** @type {FocusEvent} */ event) => {
    const article = /** @type {HTMLElement} */ (event.currentTarget);
    if (!article.contains(/** @type {Node | null} */ (event.relatedTarget))) setActive(false);
  };
  return html`
    <article class="message" tabindex="-1" data-seq=${message?.seq} data-own=${row.isOwn} data-first=${row.startsGroup}
      data-state=${entry?.state ?? "sent"} data-deleted=${isDeleted} aria-labelledby=${`a-${key} t-${key} x-${key}`}
      onMouseEnter=${() => setActive(true)} onMouseLeave=${() => setActive(false)} onFocusIn=${() => setActive(true)} onFocusOut=${leave}>
      ${row.startsGroup && html`<${Avatar} user=${author} />`}
      <header class="message-head">
        <bdi id=${`a-${key}`} class=${row.startsGroup ? "message-author" : "visually-hidden"} title=${author.username}>${nameOf(author)}</bdi>
        <time id=${`t-${key}`} class="message-time" datetime=${at.toISOString()} title=${fullTimeText(at)}>${timeText(at)}</time>
      </header>
      ${message?.reply_to && html`<${Quote} quote=${message.reply_to} room=${room} />`}
      ${isDeleted
        ? html`<p id=${`x-${key}`} class="message-text muted">This message was deleted.</p>`
        : html`<${Text} id=${`x-${key}`} message=${message} text=${message?.text ?? entry?.text ?? ""} myId=${store.me.id} />`}
      ${message?.edited_at && !isDeleted && html`<span class="message-edited muted" title=${fullTimeText(new Date(message.edited_at))}>edited</span>`}
      ${message && message.reactions?.length > 0 && html`<${Reactions} message=${message} store=${store} />`}
      ${entry && html`<${Delivery} entry=${entry} store=${store} />`}
      ${isActive && message && !isDeleted && room.room.value.is_member && html`<${Tools} message=${message} store=${store} />`}
    </article>`;
}

/** @param {{id: string, message: Message | null, text: string, myId: number}} props */
function Text({ id, message, text, myId }) {
  const size = useMemo(() => (LONE_EMOJI.test(text) ? "large" : null), [text]);
  return message?.html
    ? html`<${ServerText} id=${id} source=${message.html} size=${size} myId=${myId} />`
    : html`<div id=${id} class="message-text plain" dir="auto" data-size=${size}><${PlainText} text=${text} /></div>`;
}

/** @param {{id: string, source: string, size: string | null, myId: number}} props */
function ServerText({ id, source, size, myId }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const elements = elementsOf(source);
    elements.querySelector(`[data-user-id="${myId}"]`)?.classList.add("own");
    element.current?.replaceChildren(elements);
  }, [source, myId]);
  return html`<div ref=${element} id=${id} class="message-text" dir="auto" data-size=${size}></div>`;
}

/** @param {{text: string}} props */
function PlainText({ text }) {
  const parts = useMemo(() => linkified(text), [text]);
  return parts.map(({ text: part, url }) =>
    url ? html`<a href=${url} target="_blank" rel="noopener noreferrer nofollow ugc">${part}</a>` : part,
  );
}

/** @param {{quote: import("../lib/timeline.js").Quote, room: import("../state/room-store.js").RoomStore}} props */
function Quote({ quote, room }) {
  return html`
    <button type="button" class="quote" onClick=${() => room.jumpTo(quote.seq)}>
      <span class="visually-hidden">Answers </span><bdi class="quote-author">${nameOf(quote.author)}</bdi>
      <bdi class="quote-text">${quote.deleted ? "Deleted message" : quote.text}</bdi>
    </button>`;
}

/** @param {{message: Message, store: import("../state/store.js").ChatStore}} props */
function Reactions({ message, store }) {
  return html`
    <div class="reactions">
      ${message.reactions.map(({ emoji, count, mine }) => html`
        <button type="button" key=${emoji} class="reaction" aria-pressed=${mine ? "true" : "false"}
          aria-label=${`${emoji} ${count}${mine ? ", yours among them" : ""}`} onClick=${() => store.actions.react(message, emoji)}>
          <span>${emoji}</span> ${count}
        </button>`)}
    </div>`;
}

/** The actions for the message under the pointer or the focus. @param {{message: Message, store: import("../state/store.js").ChatStore}} props */
function Tools({ message, store }) {
  const { actions } = store;
  const tool = (/** @type {string} */ name, /** @type {any} */ icon, /** @type {() => void} */ act) =>
    html`<button type="button" class="icon-button" aria-label=${name} title=${name} onClick=${act}>${icon}</button>`;
  return html`
    <div class="message-tools" role="toolbar" aria-label="Actions">
      ${QUICK_EMOJI.map((emoji) => tool(`React with ${emoji}`, emoji, () => actions.react(message, emoji)))}
      ${tool("Reply", html`<${ReplyIcon} />`, () => actions.reply(message))}
      ${actions.mayEdit(message) && tool("Edit", html`<${EditIcon} />`, () => actions.edit(message))}
      ${actions.mayDelete(message) && tool("Delete", html`<${DeleteIcon} />`, () => store.show("DeleteMessage", { message }))}
    </div>`;
}

/** @param {{entry: import("../lib/outbox.js").Entry, store: import("../state/store.js").ChatStore}} props */
function Delivery({ entry, store }) {
  const { client_msg_id: id, state, error } = entry;
  const isOnline = store.connection.value.name === "online";
  const edit = html`<button type="button" class="button small" onClick=${() => store.actions.takeBack(entry)}>Edit</button>`;
  const discard = html`<button type="button" class="button small" onClick=${() => store.sender.forget(id)}>Discard</button>`;
  if (state === "failed") {
    return html`
      <div class="delivery failed" role="alert">
        <span><span aria-hidden="true">⚠ </span>Not sent. ${error}</span>
        <button type="button" class="button small" onClick=${() => store.sender.again(id)}>Try again</button>${edit}${discard}
      </div>`;
  }
  return html`
    <div class="delivery" data-late=${state === "waiting" || !isOnline}>
      <span>${state === "waiting" && !isOnline ? "Waits for the connection" : "Sending…"}</span>${edit}${discard}
    </div>`;
}
