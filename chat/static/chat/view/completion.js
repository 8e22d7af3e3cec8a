import { useEffect, useRef, useState } from "preact/hooks";
import { _, ngettext } from "realtime/texts";

import { completed, emojiOptions, peopleFound, roomsNamed, tokenAt } from "../lib/completion.js";
import { emojiFound, groupsOf } from "../lib/emoji.js";
import { applyEdit } from "./editing.js";
import { useEvents } from "./events.js";
import { html } from "./html.js";
import { isForInputMethod } from "./keys.js";
/** @import {Option, Token} from "../lib/completion.js" */
/** @import {ChatStore, RoomStore, Writing} from "../types.js" */

/** The list of names that match the typed text. The focus stays in the field. @param {Writing} props */
export function Completion({ store, room, input }) {
  const { token, close, dismiss } = useToken(store, room, input);
  const [index, setIndex] = useState(0);
  const options = useOptions(store, room, token);
  const active = Math.min(index, options.length - 1);
  const choose = (/** @type {Option} */ option) => {
    const area = input.current;
    applyEdit(area, completed(area.value, area.selectionStart, /** @type {Token} */ (token), option));
    close();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const { key, shiftKey } = event;
    if (token === null || options.length === 0 || shiftKey || isForInputMethod(event)) return;
    if (key === "ArrowDown") setIndex((active + 1) % options.length);
    else if (key === "ArrowUp") setIndex((active + options.length - 1) % options.length);
    else if (key === "Escape") dismiss();
    else if (key === "Tab" || (key === "Enter" && !isWhole(options[active], token))) choose(options[active]);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  // Before the field has them.
  useEvents(() => input.current, { keydown: onKeyDown }, { capture: true });
  useEffect(() => setIndex(0), [token?.kind, token?.query]);
  useEffect(() => tellActive(input.current, active), [active]);
  if (token === null || options.length === 0) return null;
  const label = { "@": _("People"), "#": _("Rooms"), ":": _("Emoji") }[token.kind];
  return html`
    <ul id="completion" class="completion" role="listbox" aria-label=${label} onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${options.map((option, at) => html`
        <li key=${option.key} id=${`completion-${at}`} role="option" aria-selected=${at === active} onClick=${() => choose(option)}>
          ${option.emoji && html`<span class="completion-emoji">${option.emoji}</span>`}
          <bdi class="completion-label">${option.label}</bdi> <bdi class="muted">${option.detail}</bdi>
        </li>`)}
    </ul>
    <p class="visually-hidden" role="status">${ngettext("{count} suggestion", "{count} suggestions", options.length)}</p>`;
}

/**
 * The name that is typed in the field, if its list was not dismissed.
 * @param {ChatStore} store @param {RoomStore} room @param {Writing["input"]} input
 */
function useToken(store, room, input) {
  const [token, setToken] = useState(/** @type {Token | null} */ (null));
  const dismissedAt = useRef(-1);
  const look = () => {
    const area = input.current;
    // Browsers tell of the blur of a field that is removed.
    if (area === null) return;
    const isTyping = area.selectionStart === area.selectionEnd && document.activeElement === area;
    const found = isTyping ? tokenAt(area.value, area.selectionStart) : null;
    if (found === null) dismissedAt.current = -1;
    setToken(found?.start === dismissedAt.current ? null : found);
  };
  const close = () => setToken(null);
  const dismiss = () => {
    dismissedAt.current = token?.start ?? -1;
    close();
  };
  useEffect(look, [store.actions.textOf(room.id)]);
  useEvents(() => input.current, { keyup: look, click: look, blur: look });
  return { token, close, dismiss };
}

/** Whether the option is already written out: Enter sends it. @param {Option} option @param {Token} token */
const isWhole = ({ insert }, { kind, query }) => insert.toLowerCase() === (kind + query).toLowerCase();

/** Tell screen readers which option is active. @param {HTMLTextAreaElement} area @param {number} active -1: none */
function tellActive(area, active) {
  area.setAttribute("aria-autocomplete", "list");
  for (const [name, value] of [["aria-controls", "completion"], ["aria-activedescendant", `completion-${active}`]]) {
    if (active >= 0) area.setAttribute(name, value);
    else area.removeAttribute(name);
  }
}

/** @param {ChatStore} store @param {RoomStore} room @param {Token | null} token @returns {Option[]} */
function useOptions(store, room, token) {
  const { kind = null, query = "" } = token ?? {};
  const all = useEmoji(kind === ":");
  if (kind === null) return [];
  if (kind === ":") return all === null ? [] : emojiOptions(emojiFound(query, all));
  if (kind === "#") return roomsNamed(query, store.rooms.value.filter((each) => each.kind !== "direct"));
  const others = room.people.value.filter(({ id }) => id !== store.me.id);
  return peopleFound(query, others, { memberCount: room.members.value.length, hereCount: room.present.value.count });
}

/** The emoji, loaded when they are wanted. @param {boolean} isWanted */
function useEmoji(isWanted) {
  const [all, setAll] = useState(/** @type {import("../lib/emoji.js").Emoji[] | null} */ (null));
  useEffect(() => {
    if (!isWanted || all !== null) return;
    const loaded = (/** @type {{TABLE: string[][]}} */ { TABLE }) => setAll(groupsOf(TABLE).flatMap(({ emoji }) => emoji));
    // Without the table there is no list, and the server still replaces whole names.
    import("../lib/emoji-table.js").then(loaded, () => {});
  }, [isWanted]);
  return all;
}
