import { useLayoutEffect, useRef } from "preact/hooks";
import { _ } from "realtime/texts";

import { textToSend } from "../lib/outbox.js";
import { typingLine } from "../lib/typing.js";
import { html } from "./html.js";
import { SendIcon } from "./icons.js";
import { backToComposer, isForInputMethod } from "./keys.js";
import { lazy } from "./lazy.js";
/** @import {ChatStore, Place, RoomStore} from "../types.js" */

const Attachments = lazy(() => import("./attachments.js"), "Attachments");
const Completion = lazy(() => import("./completion.js"), "Completion", { isLater: true });
const ComposerTools = lazy(() => import("./composer-tools.js"), "ComposerTools");
const IntentLine = lazy(() => import("./composer-notes.js"), "IntentLine");
const Outside = lazy(() => import("./composer-notes.js"), "Outside");

const MAX_CHARS = 4_000;
// The counter is shown if fewer characters than this are left.
const COUNT_FROM = 3_800;

/**
 * The field for new messages and edits. Without a connection messages wait, so it is never disabled; it only says
 * so if the reader is no longer in the room.
 * @param {Place & {onSent: () => void}} props
 */
export function Composer({ store, room, onSent }) {
  const { actions } = store;
  const text = actions.textOf(room.id);
  const intent = actions.intentOf(room.id);
  const files = actions.filesOf(room.id);
  const { name, is_member } = room.room.value;
  const input = useRef(/** @type {HTMLTextAreaElement} */ (/** @type {unknown} */ (null)));
  // Counts characters (code points), as the server does.
  const length = [...text].length;
  // With dir="auto" Chromium takes seconds to lay out a pasted book.
  const direction = length > MAX_CHARS ? "" : "auto";
  const hasMouse = matchMedia("(pointer: fine)").matches;

  // Keys come faster than the page is drawn, so handlers read the current state.
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const area = input.current;
    area.focus();
    if (!isSendable(store, room)) return;
    const isEdit = actions.intentOf(room.id)?.kind === "edit";
    const submitted = actions.submit(room.id);
    area.value = actions.textOf(room.id);
    if ((await submitted) && !isEdit) onSent();
  };
  const onInput = (/** @type {InputEvent} */ event) => {
    const { value } = /** @type {HTMLTextAreaElement} */ (event.target);
    actions.type(room.id, value);
    if (value.trim() !== "" && is_member) room.announceTyping();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (isForInputMethod(event)) return;
    // On a touch screen Enter is the only way to a new line, and the button sends.
    if (event.key === "Enter" && !event.shiftKey && hasMouse) send(event);
    else if (event.key === "ArrowUp" && !event.altKey && actions.textOf(room.id) === "" && actions.editLast(room.id)) event.preventDefault();
    else if (event.key === "Escape" && actions.intentOf(room.id) !== null) {
      event.stopPropagation();
      actions.cancel(room.id);
    }
  };

  useLayoutEffect(() => fit(input.current), [text]);
  // On a touch screen the keyboard would cover the messages.
  useLayoutEffect(() => void ((hasMouse || intent !== null) && input.current.focus()), [intent?.kind, actions.composerAsked]);

  return html`
    <form class="composer" onSubmit=${send}>
      <p class="typing-line" aria-live="off">${store.isOnline.value && typingLine(room.typers.value)}</p>
      ${!is_member && html`<${Outside} store=${store} room=${room} />`}
      ${intent && html`<${IntentLine} store=${store} intent=${intent} onCancel=${() => actions.cancel(room.id)} />`}
      <div class="composer-box">
        <${Completion} store=${store} room=${room} input=${input} />
        ${files.length > 0 && html`<${Attachments} store=${store} files=${files} onRemove=${(/** @type {string} */ key) => (store.files.value?.remove(room.id, key), backToComposer())} />`}
        <label class="visually-hidden" for="composer-text">${_("Message in {room}", { room: name })}</label>
        <textarea id="composer-text" ref=${input} rows="1" dir=${direction} autocomplete="off" enterkeyhint=${hasMouse ? "send" : "enter"}
          placeholder=${_("Message {room}", { room: name })} aria-describedby="composer-help" readonly=${!is_member}
          value=${text} onInput=${onInput} onKeyDown=${onKeyDown}></textarea>
        <div class="composer-tools">
          <${ComposerTools} store=${store} room=${room} input=${input} />
          <button type="submit" class="send-button" aria-label=${intent?.kind === "edit" ? _("Save") : _("Send")} title=${_("Send (Enter)")} disabled=${!isSendable(store, room)}><${SendIcon} /></button>
        </div>
      </div>
      <p class="composer-foot">
        <span class="composer-help"><span id="composer-help">${_("Enter sends, Shift+Enter starts a new line.")}</span>
          <button type="button" class="link-button" onClick=${() => store.show("Shortcuts")}>${_("All shortcuts")}</button></span>
        ${length > COUNT_FROM && html`<span role="status" class=${length > MAX_CHARS ? "over" : ""}>${_("{length} of {max} characters", { length, max: MAX_CHARS })}</span>`}
      </p>
    </form>`;
}

/**
 * Whether the composer can be sent: text or files. A message can wait for the connection, an edit cannot. A file that
 * the server refused must go first.
 * @param {ChatStore} store @param {RoomStore} room
 */
function isSendable({ actions, isOnline, files }, room) {
  const text = actions.textOf(room.id);
  const attached = actions.filesOf(room.id);
  const intent = actions.intentOf(room.id);
  const isRefused = attached.some(({ key }) => files.value?.uploads.value.get(key)?.error?.retryable === false);
  const isPossible = intent?.kind !== "edit" || isOnline.value;
  // An edit may leave nothing but the files.
  const isSomething = textToSend(text) !== "" || attached.length > 0 || (intent?.kind === "edit" && intent.message.files.length > 0);
  return isPossible && room.room.value.is_member && isSomething && !isRefused && [...text].length <= MAX_CHARS;
}

/**
 * Makes the field as tall as its text. The style sheet limits the height. The box keeps its height while the text is measured:
 * otherwise the list above is taller for a moment, and is no longer at its end.
 * @param {HTMLTextAreaElement} area
 */
function fit(area) {
  const box = /** @type {HTMLElement} */ (area.parentElement);
  box.style.minHeight = `${box.offsetHeight}px`;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
  box.style.minHeight = "";
}
