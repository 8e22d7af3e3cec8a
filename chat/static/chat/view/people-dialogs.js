import { useState } from "preact/hooks";
import { _, ngettext } from "realtime/texts";

import { nameOf } from "../lib/format.js";
import { MODERATOR, OWNER, ROLES } from "../lib/rights.js";
import { hasWords } from "../lib/search.js";
import { Dialog, DialogActions, Failure, FormDialog, useAct } from "./dialog.js";
import { html } from "./html.js";
import { isForInputMethod } from "./keys.js";
import { postPicture } from "../state/upload.js";
import { Avatar, statusOf } from "./avatar.js";
import { ReasonField, roleWord, Sure, TextField } from "./room-dialogs.js";
import { SearchField, useAnswer } from "./search-field.js";
/** @import {ChatStore, Person, RoomStore, Shown} from "../types.js" */

const FOUND_MAX = 20;
// The others of a direct room, and people invited at once: the server takes no more.
const DIRECT_MAX = 7;
const INVITED_MAX = 50;
const NAME_MAX_CHARS = 64;
const STATUS_MAX_CHARS = 64;
const EMOJI_MAX_CHARS = 32;
const PICTURES = "image/png,image/jpeg,image/gif,image/webp";

/** Open or find the conversation with some people. @param {Shown} props */
export function NewDirect({ store, onClose }) {
  const open = (/** @type {number[]} */ user_ids) => store.enter("room.direct", { user_ids });
  return html`<${PeoplePicker} title=${_("New conversation")} words=${_("Open")} store=${store} max=${DIRECT_MAX} without=${[store.me.id]} onPick=${open} onClose=${onClose} />`;
}

/** @param {Shown & {room: RoomStore}} props */
export function Invite({ store, room, onClose }) {
  const title = _("Invite people to {room}", { room: room.room.value.name });
  const members = room.members.value.map(({ id }) => id);
  const invite = (/** @type {number[]} */ user_ids) => store.change("room.invite", { room_id: room.id, user_ids });
  return html`<${PeoplePicker} title=${title} words=${_("Invite")} store=${store} max=${INVITED_MAX} without=${members} onPick=${invite} onClose=${onClose} />`;
}

/**
 * Choose people by their names.
 * @param {Shown & {title: string, words: string, max: number, without: number[], onPick: (ids: number[]) => Promise<unknown>}} props
 */
function PeoplePicker({ store, title, words, max, without, onPick, onClose }) {
  const [query, setQuery] = useState("");
  const [chosen, setChosen] = useState(/** @type {Person[]} */ ([]));
  const isChosen = (/** @type {Person} */ person) => chosen.some(({ id }) => id === person.id);
  const { users, error, isKnown } = useUsers(store, query);
  const found = users.filter((person) => !without.includes(person.id) && !isChosen(person));
  const toggle = (/** @type {Person} */ person) => {
    setChosen(isChosen(person) ? chosen.filter(({ id }) => id !== person.id) : [...chosen, person].slice(0, max));
    setQuery("");
    document.getElementById("people-query")?.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || isForInputMethod(event) || query === "") return;
    event.preventDefault();
    if (found.length > 0) toggle(found[0]);
  };
  return html`
    <${FormDialog} title=${title} words=${words} onSubmit=${() => onPick(chosen.map(({ id }) => id))} onClose=${onClose} isReady=${chosen.length > 0}>
      <${SearchField} id="people-query" label=${_("Part of a name")} query=${query} onQuery=${setQuery} onKeyDown=${onKeyDown} />
      <ul class="picker-list">
        ${[...chosen, ...found].map((person) => html`
          <li key=${person.id}>
            <label class="check"><input type="checkbox" checked=${isChosen(person)} onChange=${() => toggle(person)} />
              <${Avatar} user=${person} /><bdi>${nameOf(person)}</bdi><span class="muted">@${person.username}</span></label>
          </li>`)}
      </ul>
      <p class="muted" role="status">
        ${chosen.length === max ? ngettext("{count} person at most", "{count} people at most", max) : error || (isKnown && found.length + chosen.length === 0 && _("Nobody was found."))}
      </p>
    <//>`;
}

/** People whose names contain a text. Until the answer is there, those of the last one that match. @param {ChatStore} store @param {string} query */
export function useUsers(store, query) {
  const ask = async () => (await store.client.request("user.list", { query, limit: FOUND_MAX })).payload.users;
  const { found, error, isKnown } = useAnswer(query, /** @type {Person[]} */ ([]), ask);
  const users = isKnown ? found : found.filter(({ username, name = "" }) => hasWords(`${username} ${name}`, query));
  return { users, error, isKnown };
}

/** A member of a room, and what the reader may do about them. @param {Shown & {room: RoomStore, person: Person}} props */
export function Person({ store, room, person, onClose }) {
  const { failure, act } = useAct(onClose);
  const [reason, setReason] = useState("");
  const shown = room.members.value.find(({ id }) => id === person.id) ?? person;
  const rank = store.rank(room);
  const isMe = person.id === store.me.id;
  const isRoom = room.room.value.kind !== "direct";
  const mayRemove = isRoom && !isMe && rank >= MODERATOR && (rank >= OWNER || rank > ROLES.indexOf(shown.role ?? ""));
  const member = { room_id: room.id, user_id: person.id };
  return html`
    <${Dialog} title=${nameOf(shown)} onClose=${onClose} returnTo=${() => document.getElementById("panel")}>
      <div class="profile-card">
        <${Avatar} user=${shown} />
        <p>@${shown.username}${isRoom && shown.role ? ` · ${roleWord(shown.role)}` : ""}</p>
        ${statusOf(shown) && html`<p class="muted"><bdi>${statusOf(shown)}</bdi></p>`}
      </div>
      ${isRoom && rank >= OWNER && html`
        <div class="field">
          <label for="person-role">${_("Role in this room")}</label>
          <select id="person-role" class="input" value=${shown.role ?? "member"} onChange=${(/** @type {any} */ event) => act(store.change("room.role", { ...member, role: event.target.value }), () => {})}>
            ${ROLES.map((role) => html`<option value=${role}>${roleWord(role)}</option>`)}
          </select>
        </div>`}
      ${mayRemove && html`<${ReasonField} onReason=${setReason} />`}
      <${Failure} text=${failure} />
      <${DialogActions} no=${_("Close")} onClose=${onClose}>
        ${mayRemove && html`<${Sure} words=${_("Remove from the room")} sureWords=${_("Remove now?")} onSure=${() => act(store.change("room.remove", { ...member, reason }))} />`}
        ${!isMe && html`<button type="button" class="button primary" onClick=${() => act(store.enter("room.direct", { user_ids: [person.id] }))}>${_("Message")}</button>`}
        ${isMe && html`<button type="button" class="button primary" onClick=${() => store.show("Profile")}>${_("Edit profile")}</button>`}
      <//>
    <//>`;
}

/** The reader's own name and status, and notifications. @param {Shown} props */
export function Profile({ store, onClose }) {
  const form = useAct(onClose);
  const profile = store.profile.value;
  const { username, name = "", status, status_emoji = "" } = profile;
  const take = (/** @type {Person} */ changed) => {
    store.profile.value = changed;
    // Messages that are not sent yet carry it too.
    Object.assign(store.me, { name: changed.name, picture: changed.picture });
    store.current.value?.loadMembers();
  };
  const savePicture = (/** @type {File | null} */ picture) => form.act(postPicture(picture).then(take), () => {});
  const choose = (/** @type {any} */ { target }) => {
    if (target.files.length > 0) savePicture(target.files[0]);
    target.value = "";
  };
  const save = async (/** @type {Record<string, string>} */ changes) => take((await store.client.request("profile.update", changes)).payload.profile);
  return html`
    <${FormDialog} title=${_("Your profile")} words=${_("Save")} onSubmit=${save} form=${form} onClose=${onClose}>
      <div class="profile-card"><${Avatar} user=${profile} /><p>@${username}</p></div>
      <div class="picture-row">
        <label class="button small">${_("Choose a picture")}<input type="file" class="visually-hidden" accept=${PICTURES} onChange=${choose} /></label>
        ${profile.picture && html`<button type="button" class="button small" onClick=${() => savePicture(null)}>${_("Remove the picture")}</button>`}
      </div>
      <${TextField} id="profile-name" name="name" label=${_("Name that others see")} max=${NAME_MAX_CHARS} value=${name === username ? "" : name} />
      <div class="status-fields">
        <${TextField} id="profile-emoji" name="status_emoji" label=${_("Emoji")} max=${EMOJI_MAX_CHARS} value=${status_emoji} />
        <${TextField} id="profile-status" name="status" label=${_("Status")} max=${STATUS_MAX_CHARS} value=${statusOf({ status })} />
      </div>
      <${Notifications} />
    <//>`;
}

/** The browser asks for the permission only after this click. */
function Notifications() {
  const known = "Notification" in globalThis ? Notification.permission : "unsupported";
  const [permission, setPermission] = useState(known);
  const words = {
    granted: _("Notifications are on while the chat is open. Each room can be set in its menu."),
    denied: _("Notifications are blocked. Allow them in the settings of your browser."),
    default: _("See new messages while you do something else."),
    unsupported: _("This browser has no notifications."),
  };
  return html`
    <div class="notify-row">
      <p class="muted">${words[/** @type {"granted"} */ (permission)]}</p>
      ${permission === "default" && html`<button type="button" class="button small" onClick=${() => Notification.requestPermission().then(setPermission)}>${_("Turn on")}</button>`}
    </div>`;
}
