import { useComputed } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { _ } from "realtime/texts";

import { isRefusedIn } from "../lib/outbox.js";
import { attentionOf } from "../lib/room-list.js";
import { html } from "./html.js";
import { BellOffIcon, CloseIcon, CompassIcon, EditIcon, HashIcon, IconButton, LockIcon, PeopleIcon, PlusIcon, SearchIcon } from "./icons.js";
import { Avatar, statusOf } from "./avatar.js";
import { nameOf } from "../lib/format.js";
/** @import {ChatStore, Room} from "../types.js" */

const COUNT_SHOWN_MAX = 99;
// Rooms of a section that are drawn with the page. The others follow, when the messages are likely to be there.
const DRAWN_FIRST_MAX = 50;
const DRAW_REST_MS = 1_000;
// Keys, links and the finder lead to rooms anywhere in the list.
const bringIntoView = (/** @type {HTMLElement | null} */ item) => item?.scrollIntoView({ block: "nearest" });

/** The user's rooms in sections. A drawer on small screens. @param {{store: ChatStore}} props */
export const Sidebar = ({ store }) => html`
  <nav class="sidebar" id="rooms" aria-label=${_("Rooms")} data-open=${store.drawer.value === "rooms"}>
    <div class="sidebar-head">
      <button type="button" class="find-button" onClick=${() => store.show("Finder")}><${SearchIcon} /><span>${_("Find…")}</span><kbd>Ctrl K</kbd></button>
      <${IconButton} class="icon-button drawer-only" label=${_("Close the list of rooms")} icon=${CloseIcon} onClick=${() => (store.drawer.value = null)} />
    </div>
    <div class="sidebar-rooms">
      ${store.sections.value.map((section) => html`<${Section} key=${section.name} section=${section} store=${store} />`)}
      ${store.joined.value.length === 0 && html`<p class="sidebar-empty muted">${_("You are in no room yet. Browse those that are here, or make one.")}</p>`}
    </div>
    <${OwnProfile} store=${store} />
  </nav>`;

/** @param {{section: {name: import("../lib/room-list.js").SectionName, rooms: Room[]}, store: ChatStore}} props */
function Section({ section: { name, rooms }, store }) {
  const [isWhole, setWhole] = useState(rooms.length <= DRAWN_FIRST_MAX);
  useEffect(() => {
    const timer = setTimeout(() => setWhole(true), DRAW_REST_MS);
    return () => clearTimeout(timer);
  }, []);
  const titles = { unread: _("Unread"), favourites: _("Favourites"), rooms: _("Rooms"), people: _("People") };
  const tool = (/** @type {string} */ label, /** @type {() => any} */ icon, /** @type {string} */ dialog) => html`
    <${IconButton} class="icon-button small" label=${label} icon=${icon} onClick=${() => store.show(dialog)} />`;
  return html`
    <section aria-labelledby=${`section-${name}`}>
      <div class="section-head">
        <h2 class="sidebar-title" id=${`section-${name}`}>${titles[name]}</h2>
        ${name === "rooms" && tool(_("Browse rooms"), CompassIcon, "BrowseRooms")}
        ${name === "rooms" && tool(_("New room"), PlusIcon, "CreateRoom")}
        ${name === "people" && tool(_("New conversation"), PlusIcon, "NewDirect")}
      </div>
      <ul class="room-list">
        ${(isWhole ? rooms : rooms.slice(0, DRAWN_FIRST_MAX)).map((room) => html`<${RoomItem} key=${room.id} room=${room} store=${store} />`)}
      </ul>
    </section>`;
}

/** @param {{room: Room, store: ChatStore}} props */
function RoomItem({ room, store }) {
  const isCurrent = room.id === store.currentId.value;
  const { count, isPersonal } = attentionOf(room);
  const isUnsent = useComputed(() => store.drafts.texts.value.has(room.id) || isRefusedIn(store.sender.outbox.value, room.id));
  return html`
    <li>
      <button type="button" class="room-item" ref=${isCurrent ? bringIntoView : null} aria-current=${isCurrent ? "true" : null} data-unread=${count > 0} data-muted=${room.level === "nothing"} onClick=${() => store.select(room.id)}>
        ${room.kind === "direct" ? html`<${PresenceDot} store=${store} room=${room} />` : html`<${RoomIcon} room=${room} />`}
        <span class="room-name" title=${room.topic_line || null}><bdi>${room.name}</bdi>${room.kind === "private" && html`<span class="visually-hidden"> ${_("(private)")}</span>`}</span>
        ${!isCurrent && isUnsent.value && html`<span class="draft-mark" title=${_("You have typed something here")}><${EditIcon} /><span class="visually-hidden"> ${_("draft")}</span></span>`}
        ${room.level === "nothing" && html`<span class="draft-mark" title=${_("Muted")}><${BellOffIcon} /><span class="visually-hidden"> ${_("muted")}</span></span>`}
        <${Badge} count=${count} isPersonal=${isPersonal} words=${isPersonal && room.kind !== "direct" ? _("mentions of you") : _("unread")} />
      </button>
    </li>`;
}

/** @param {{room: {kind: string}}} props */
export const RoomIcon = ({ room }) => html`<${room.kind === "direct" ? PeopleIcon : room.kind === "public" ? HashIcon : LockIcon} />`;

/** @param {{count: number, isPersonal: boolean, words: string}} props */
export function Badge({ count, isPersonal, words }) {
  if (count === 0) return null;
  return html`<span class="badge" data-personal=${isPersonal}>${count > COUNT_SHOWN_MAX ? `${COUNT_SHOWN_MAX}+` : count}<span class="visually-hidden"> ${words}</span></span>`;
}

/** Whether the others of a direct room are there. @param {{store: ChatStore, room: {id: number}}} props */
function PresenceDot({ store, room }) {
  const others = store.stores.value.get(room.id)?.present.value.users.map(({ id }) => id).filter((id) => id !== store.me.id) ?? [];
  const isGone = others.length === 0 || !store.isOnline.value;
  const state = isGone ? "gone" : others.every((id) => store.activity.isAway(id)) ? "away" : "here";
  const words = { here: _("here"), away: _("away"), gone: _("not here") }[state];
  return html`<span class="presence-dot" data-state=${state} title=${words}><span class="visually-hidden">${words} </span></span>`;
}

/** The reader's own name and status, which open the profile. @param {{store: ChatStore}} props */
function OwnProfile({ store }) {
  const profile = store.profile.value;
  return html`
    <button type="button" class="own-profile" title=${_("Your profile")} onClick=${() => store.show("Profile")}>
      <${Avatar} user=${profile} />
      <span class="own-names"><bdi>${nameOf(profile)}</bdi><span class="muted">${statusOf(profile) || _("Set a status")}</span></span>
    </button>`;
}
