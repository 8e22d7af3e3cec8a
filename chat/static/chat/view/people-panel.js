import { useDrawer } from "./drawer.js";
import { counted, hueOf, initialOf, nameOf } from "../lib/format.js";
import { html } from "./html.js";
import { CloseIcon } from "./icons.js";

/** @param {{user: {id: number | null, username: string | null, name?: string}}} props */
export function Avatar({ user }) {
  return html`<span class="avatar hue-${hueOf(user.id)}" aria-hidden="true">${initialOf(nameOf(user))}</span>`;
}

/**
 * The members of the room, and which of them are connected.
 * @param {{room: import("../state/room-store.js").RoomStore, me: {id: number}, isOnline: boolean, isOpen: boolean, onClose: () => void}} props
 *   isOnline: without a connection it is unknown who is there
 */
export function PeoplePanel({ room, me, isOnline, isOpen, onClose }) {
  const closeButton = useDrawer(isOpen);
  return html`
    <aside class="people" id="people" aria-label="People in this room" data-open=${isOpen}>
      <div class="sidebar-head">
        <h2>People</h2>
        <button type="button" ref=${closeButton} class="icon-button drawer-only" aria-label="Close the list of people"
          onClick=${onClose}><${CloseIcon} /></button>
      </div>
      ${!isOnline
        ? html`<${People} title="Members" people=${room.people.value.map((person) => ({ ...person, isHere: null }))} me=${me} />`
        : room.present.value.users === null
        ? html`<${Crowd} count=${room.present.value.count} members=${room.people.value} me=${me} />`
        : html`<${Named} people=${room.people.value} me=${me} />`}
    </aside>`;
}

/** Two lists: members who are connected, and the others. @param {{people: import("../lib/people.js").SeenPerson[], me: {id: number}}} props */
function Named({ people, me }) {
  return html`
    <${People} title="Here" people=${people.filter((person) => person.isHere)} me=${me} />
    <${People} title="Not here" people=${people.filter((person) => !person.isHere)} me=${me} />`;
}

/**
 * A large room, for which the server tells only how many users are connected.
 * @param {{count: number, members: import("../lib/people.js").SeenPerson[], me: {id: number}}} props
 */
function Crowd({ count, members, me }) {
  return html`
    <h3 class="sidebar-title">Here <span class="count">${count}</span></h3>
    <p class="people-note muted">${counted(count, "person is", "people are")} here: too many to list each.</p>
    <${People} title="Members" people=${members} me=${me} />`;
}

/** @param {{title: string, people: import("../lib/people.js").SeenPerson[], me: {id: number}}} props */
function People({ title, people, me }) {
  if (people.length === 0) return null;
  return html`
    <h3 class="sidebar-title">${title} <span class="count">${people.length}</span></h3>
    <ul class="people-list">
      ${people.map((person) => html`
        <li key=${person.id} data-here=${person.isHere}>
          <${Avatar} user=${person} />
          <span class="person-name"><bdi title=${person.username}>${nameOf(person)}</bdi>${person.id === me.id && html`<span class="muted"> (you)</span>`}</span>
          ${statusOf(person) && html`<span class="person-status muted">${statusOf(person)}</span>`}
        </li>`)}
    </ul>`;
}

/** A member's status text, if it says more than the heading. @param {import("../lib/people.js").SeenPerson} person */
function statusOf({ status }) {
  return status && !["online", "offline"].includes(status) ? status : "";
}
