import { useLayoutEffect, useRef } from "preact/hooks";
import { _, ngettext } from "realtime/texts";

import { Avatar, statusOf } from "./avatar.js";
import { nameOf } from "../lib/format.js";
import { isUnnamed } from "../lib/people.js";
import { MEMBER } from "../lib/rights.js";
import { html } from "./html.js";
import { CloseIcon, IconButton, PlusIcon } from "./icons.js";
/** @import {Place} from "../types.js" */
/** @import {SeenPerson} from "../lib/people.js" */

/** The members of the room, and which of them are connected. @param {Place} props */
export function PeoplePanel({ store, room }) {
  const people = room.people.value;
  const { count } = room.present.value;
  // The server does not list all members of a large room.
  const unlisted = Math.max(0, room.room.value.member_count - people.length);
  const group = (/** @type {string} */ title, /** @type {SeenPerson[]} */ members, more = unlisted) => html`
    <${People} title=${title} people=${members} count=${members.length + more} store=${store} room=${room} />`;
  return html`
    <div class="panel-head">
      <h2>${_("People")}</h2>
      ${store.rank(room) >= MEMBER && room.room.value.kind !== "direct" && html`
        <${IconButton} label=${_("Invite people")} icon=${PlusIcon} onClick=${() => store.show("Invite", { room })} />`}
      <${IconButton} class="icon-button drawer-only" label=${_("Close the list of people")} icon=${CloseIcon} onClick=${() => (store.drawer.value = null)} />
    </div>
    ${!store.isOnline.value || !room.room.value.is_member
      ? group(_("Members"), people.map((person) => ({ ...person, isHere: null })))
      : isUnnamed(room.present.value)
      ? html`<h3 class="sidebar-title">${_("Here")} <span class="count">${count}</span></h3>
          <p class="people-note muted">${ngettext("{count} person is here: too many to list each.", "{count} people are here: too many to list each.", count)}</p>
          ${group(_("Members"), people)}`
      : [group(_("Here"), people.filter((person) => person.isHere), 0), group(_("Not here"), people.filter((person) => !person.isHere))]}`;
}

/** @param {Place & {title: string, people: SeenPerson[], count: number}} props */
const People = ({ title, people, count, store, room }) => people.length > 0 && html`
  <h3 class="sidebar-title">${title} <span class="count">${count}</span></h3>
  <ul class="people-list">
    ${people.map((person) => html`<${PersonRow} key=${person.id} person=${person} store=${store} room=${room} />`)}
  </ul>`;

/** If it goes while it has the focus, because the person comes, goes or is removed, the panel gets it. @param {Place & {person: SeenPerson}} props */
function PersonRow({ person, store, room }) {
  const row = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => () => void (row.current?.contains(document.activeElement) && document.getElementById("panel")?.focus()), []);
  const isAway = person.isHere && store.activity.isAway(person.id);
  return html`
    <li ref=${row} data-here=${person.isHere} data-away=${isAway}>
      <button type="button" class="person" title=${`@${person.username}`} onClick=${() => store.show("Person", { room, person })}>
        <${Avatar} user=${person} />
        <span class="person-text">
          <span class="person-name"><bdi>${nameOf(person)}</bdi></span>
          ${statusOf(person) && html`<span class="person-status muted">${statusOf(person)}</span>`}
        </span>
        ${isAway && html`<span class="visually-hidden"> ${_("away")}</span>`}
      </button>
    </li>`;
}
