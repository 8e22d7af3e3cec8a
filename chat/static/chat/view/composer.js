import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { html } from "./html.js";
import { SendIcon } from "./icons.js";
import { typingLine } from "../lib/typing.js";

const MAX_CHARS = 4_000;
// The counter is shown if fewer characters than this are left.
const COUNT_FROM = 3_800;

/**
 * The field for new messages. It is never disabled: without a connection, messages wait.
 * @param {{store: import("../state/store.js").ChatStore, room: import("../state/room-store.js").RoomStore, onSent: () => void}} props
 */
export function Composer({ store, room, onSent }) {
  const [text, setText] = useState(room.draft);
  const input = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  // Counts characters (code points), as the server does.
  const length = [...text].length;
  const isOnline = store.connection.value.name === "online";
  const canSend = text.trim() !== "" && length <= MAX_CHARS;

  const change = (/** @type {string} */ value) => {
    room.draft = value;
    setText(value);
  };
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    input.current?.focus();
    if (!canSend) return;
    store.sender.send(room.id, text.trim());
    change("");
    onSent();
  };
  const onInput = (/** @type {InputEvent} */ event) => {
    change(/** @type {HTMLTextAreaElement} */ (event.target).value);
    if (/** @type {HTMLTextAreaElement} */ (event.target).value.trim() !== "") room.announceTyping();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };

  useLayoutEffect(() => fit(/** @type {HTMLTextAreaElement} */ (input.current)), [text]);
  // On a touch screen the keyboard would cover the messages.
  useLayoutEffect(() => void (matchMedia("(pointer: fine)").matches && input.current?.focus()), []);

  return html`
    <form class="composer" onSubmit=${send}>
      <p class="typing-line" aria-live="off">${isOnline && typingLine(room.typers.value)}</p>
      <div class="composer-box">
        <label class="visually-hidden" for="composer-text">Message in ${room.room.value.name}</label>
        <textarea id="composer-text" ref=${input} rows="1" autocomplete="off" enterkeyhint="send"
          placeholder=${`Message ${room.room.value.name}`} aria-describedby="composer-help"
          value=${text} onInput=${onInput} onKeyDown=${onKeyDown}></textarea>
        <button type="submit" class="send-button" aria-label="Send" title="Send (Enter)" disabled=${!canSend}><${SendIcon} /></button>
      </div>
      <p class="composer-foot">
        <span id="composer-help" class="composer-help"><kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> starts a new line</span>
        ${length > COUNT_FROM && html`<span role="status" class=${length > MAX_CHARS ? "over" : ""}>${length} of ${MAX_CHARS} characters</span>`}
      </p>
    </form>`;
}

/** Makes the field as tall as its text. The style sheet limits the height. @param {HTMLTextAreaElement} area */
function fit(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
