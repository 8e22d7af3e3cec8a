import { useEffect, useRef, useState } from "preact/hooks";
import { _ } from "realtime/texts";

import { nameOf, summaryOf } from "../lib/format.js";
import { attentionOf } from "../lib/room-list.js";
import { hasWords, nameWanted, roomsFound } from "../lib/search.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";
import { SearchIcon } from "./icons.js";
import { isForInputMethod } from "./keys.js";
import { useUsers } from "./people-dialogs.js";
import { Avatar } from "./avatar.js";
import { SearchField } from "./search-field.js";
import { useMessages } from "./search-panel.js";
import { Badge, RoomIcon } from "./sidebar.js";
/** @import {ChatStore, Message, Person, Room, Shown} from "../types.js" */

/** @typedef {{key: string, icon: any, words: string, detail: any, go: () => unknown}} Option */

const LIST_ID = "finder-options";
const PEOPLE_SHOWN_MAX = 5;
const MESSAGES_SHOWN_MAX = 5;

/** Ctrl+K: find rooms, those to join among them, people and messages, and go there. @param {Shown} props */
export function Finder({ store, onClose }) {
  const [query, setQuery] = useState("");
  const [index, setIndex] = useState(0);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const groups = useGroups(store, query);
  const options = groups.flatMap((group) => group.options);
  const at = Math.min(index, options.length - 1);
  const active = options[at];
  const go = (/** @type {Option} */ option) => {
    onClose();
    option.go();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (isForInputMethod(event) || options.length === 0) return;
    if (event.key === "Enter") go(active);
    else if (event.key === "ArrowDown") setIndex((at + 1) % options.length);
    else if (event.key === "ArrowUp") setIndex((at + options.length - 1) % options.length);
    else return;
    event.preventDefault();
  };
  const find = (/** @type {string} */ text) => (setQuery(text), setIndex(0));
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [active?.key]);
  return html`
    <${Dialog} title=${_("Find rooms, people and messages")} isWide onClose=${onClose}>
      <${SearchField} id="finder-query" label=${_("What to find")} placeholder=${_("A room, a person, or words")} query=${query} onQuery=${find} onKeyDown=${onKeyDown}
        role="combobox" aria-expanded="true" aria-controls=${LIST_ID} aria-autocomplete="list" aria-activedescendant=${active ? `option-${active.key}` : null} />
      <div class="finder" id=${LIST_ID} role="listbox" aria-label=${_("Found")} ref=${list}>
        ${groups.map(({ name, title, options: found }) => found.length > 0 && html`
          <div key=${name} role="group" aria-labelledby=${`finder-${name}`}>
            <p class="sidebar-title" role="presentation" id=${`finder-${name}`}>${title}</p>
            ${found.map((option) => html`
              <div key=${option.key} id=${`option-${option.key}`} class="room-item" role="option" aria-selected=${option === active} onClick=${() => go(option)}>
                ${option.icon}<span class="room-name"><bdi>${option.words}</bdi></span>${option.detail}
              </div>`)}
          </div>`)}
      </div>
      <p class="muted" role="status">${options.length === 0 ? _("Nothing was found.") : ""}</p>
    <//>`;
}

/** @param {ChatStore} store @param {string} query */
function useGroups(store, query) {
  const wanted = query.trim();
  const name = nameWanted(query);
  const { users } = useUsers(store, name);
  const { messages, isLoading } = useMessages(store, wanted, MESSAGES_SHOWN_MAX);
  // Enter goes to the first that is shown: it must match what is typed.
  const matching = messages.filter((message) => !isLoading || hasWords(summaryOf(message), wanted));
  // The conversation with one other is found by the person.
  const rooms = [...store.joined.value, ...store.joinable.value].filter((room) => wanted === "" || room.kind !== "direct" || room.member_count > 2);
  const people = wanted === "" ? [] : users.filter(({ id }) => id !== store.me.id).slice(0, PEOPLE_SHOWN_MAX);
  const search = () => {
    store.searchFor.value = wanted;
    store.showPanel("search");
  };
  const all = { key: "all", icon: html`<${SearchIcon} />`, words: _("Search messages for “{words}”", { words: wanted }), detail: null, go: search };
  return [
    { name: "rooms", title: _("Rooms"), options: roomsFound(rooms, name).map((room) => roomOption(store, room)) },
    { name: "people", title: _("People"), options: people.map((person) => personOption(store, person)) },
    { name: "messages", title: _("Messages"), options: wanted === "" || store.joined.value.length === 0 ? [] : [...matching.map((message) => messageOption(store, message)), all] },
  ];
}

/** @param {ChatStore} store @param {Room} room @returns {Option} */
function roomOption(store, room) {
  const { count, isPersonal } = attentionOf(room);
  const detail = room.is_member ? html`<${Badge} count=${count} isPersonal=${isPersonal} words=${_("unread")} />` : html`<span class="muted">${_("Join")}</span>`;
  const go = () => (room.is_member ? store.select(room.id) : store.joinRoom(room.id));
  return { key: `room-${room.id}`, icon: html`<${RoomIcon} room=${room} />`, words: room.name, detail, go };
}

/** @param {ChatStore} store @param {Person} person @returns {Option} */
const personOption = (store, person) => ({
  key: `person-${person.id}`, icon: html`<${Avatar} user=${person} />`, words: nameOf(person), detail: html`<span class="muted">@${person.username}</span>`,
  go: () => store.try(store.enter("room.direct", { user_ids: [person.id] })),
});

/** @param {ChatStore} store @param {Message} message @returns {Option} */
function messageOption(store, message) {
  const room = store.stores.value.get(message.room_id)?.room.value.name;
  const go = () => store.select(message.room_id, message.seq);
  return { key: `message-${message.id}`, icon: html`<${Avatar} user=${message.author} />`, words: summaryOf(message), detail: html`<span class="muted"><bdi>${room}</bdi></span>`, go };
}
