import { useState } from "preact/hooks";
import { _, ngettext } from "realtime/texts";

import { summaryOf } from "../lib/format.js";
import { MODERATOR, OWNER } from "../lib/rights.js";
import { roomsFound } from "../lib/search.js";
import { Dialog, DialogActions, DialogForm, FormDialog, useAct } from "./dialog.js";
import { html } from "./html.js";
import { SearchField } from "./search-field.js";
import { RoomIcon } from "./sidebar.js";
/** @import {Message, Room, RoomStore, Shown} from "../types.js" */

const NAME_MAX_CHARS = 80;
const TOPIC_LINE_MAX_CHARS = 250;
const REASON_MAX_CHARS = 200;

/** @param {Shown} props */
export function CreateRoom({ store, onClose }) {
  const create = ({ name = "", kind = "public" }) => store.enter("room.create", { name, is_public: kind === "public" });
  return html`
    <${FormDialog} title=${_("New room")} words=${_("Create")} onSubmit=${create} onClose=${onClose}>
      <${TextField} id="room-name" name="name" label=${_("Name")} max=${NAME_MAX_CHARS} isRequired />
      <${Kinds} isPublic />
    <//>`;
}

/** Public rooms that the reader is not in. @param {Shown} props */
export function BrowseRooms({ store, onClose }) {
  const [query, setQuery] = useState("");
  const rooms = roomsFound(store.joinable.value, query);
  return html`
    <${Dialog} title=${_("Browse rooms")} isWide onClose=${onClose}>
      <${SearchField} id="browse-query" label=${_("Part of the name")} query=${query} onQuery=${setQuery} />
      <ul class="browse-list">
        ${rooms.map((room) => html`
          <li key=${room.id}>
            <${RoomIcon} room=${room} />
            <span class="browse-text"><bdi class="room-name">${room.name}</bdi><bdi class="muted">${about(room)}</bdi></span>
            <button type="button" class="button small" aria-label=${_("Join {room}", { room: room.name })} onClick=${() => store.joinRoom(room.id).then(onClose)}>${_("Join")}</button>
          </li>`)}
      </ul>
      <p class="muted" role="status">${rooms.length > 0 ? "" : query ? _("No room has such a name.") : _("You are in all public rooms.")}</p>
      <${DialogActions} no=${_("Close")} onClose=${onClose}>
        <button type="button" class="button primary" onClick=${() => store.show("CreateRoom")}>${_("New room")}</button>
      <//>
    <//>`;
}

/** What a link to a public room offers to those who are not in it. @param {Shown & {room: Room, seq: number | null}} props */
export function JoinRoom({ store, room, seq, onClose }) {
  const join = async () => {
    await store.enter("room.join", { room_id: room.id });
    store.select(room.id, seq);
  };
  return html`
    <${FormDialog} title=${_("Join {room}?", { room: room.name })} words=${_("Join")} onSubmit=${join} onClose=${onClose}>
      <p class="muted"><bdi>${about(room)}</bdi></p>
    <//>`;
}

/** @param {Room} room */
const about = ({ topic_line, member_count }) => topic_line || ngettext("{count} member", "{count} members", member_count);

/** The topic line of a room. Members who may change it edit it here. @param {Shown & {room: RoomStore}} props */
export function RoomInfo({ store, room, onClose }) {
  const { id, name, topic_line, kind, member_count, role } = room.room.value;
  const form = useAct(onClose);
  const rank = store.rank(room);
  const mayEdit = kind !== "direct" && rank >= MODERATOR;
  const update = (/** @type {Record<string, unknown>} */ changes) => store.change("room.update", { room_id: id, ...changes });
  const save = async (/** @type {Record<string, string>} */ { kind: chosen, ...changes }) => {
    const all = chosen ? { ...changes, is_public: chosen === "public" } : changes;
    if (Object.keys(all).length > 0) await update(all);
  };
  const archive = () => form.act(update({ archived: true }));
  const kinds = { public: _("Public room"), private: _("Private room"), direct: _("Conversation") };
  return html`
    <${Dialog} title=${name} onClose=${onClose}>
      <p class="muted">${kinds[kind]} · ${ngettext("{count} member", "{count} members", member_count)}${role && kind !== "direct" ? ` · ${_("your role: {role}", { role: roleWord(role) })}` : ""}</p>
      ${mayEdit
        ? html`
          <${DialogForm} words=${_("Save")} onSubmit=${save} form=${form} onClose=${onClose}
            more=${rank >= OWNER && html`<${Sure} words=${_("Archive")} sureWords=${_("Archive for everybody?")} onSure=${archive} />`}>
            <${TextField} id="info-name" name="name" label=${_("Name")} max=${NAME_MAX_CHARS} value=${name} isRequired />
            <${TextField} id="info-topic" name="topic_line" label=${_("What is it about?")} max=${TOPIC_LINE_MAX_CHARS} value=${topic_line} />
            ${rank >= OWNER && html`<${Kinds} isPublic=${kind === "public"} />`}
          <//>`
        : html`<p><bdi>${topic_line}</bdi></p><${DialogActions} no=${_("Close")} onClose=${onClose} />`}
    <//>`;
}

/** @param {Shown & {room: RoomStore}} props */
export function LeaveRoom({ store, room, onClose }) {
  const { name, is_public } = room.room.value;
  return html`
    <${FormDialog} title=${_("Leave {room}?", { room: name })} words=${_("Leave")} no=${_("Stay")} onSubmit=${() => store.leaveRoom(room.id)} onClose=${onClose}>
      <p class="muted">${is_public ? _("You can join again at any time.") : _("The room is private: somebody in it has to let you in again.")}</p>
    <//>`;
}

/** @param {Shown & {message: Message}} props */
export function DeleteMessage({ store, message, onClose }) {
  const remove = ({ reason = "" }) => store.actions.change("message.delete", message, { reason });
  const row = () => document.querySelector(`article[data-seq="${message.seq}"]`);
  return html`
    <${FormDialog} title=${_("Delete this message?")} words=${_("Delete")} no=${_("Keep")} onSubmit=${remove} onClose=${onClose} returnTo=${row}>
      <blockquote class="muted" dir="auto">${summaryOf(message)}</blockquote>
      <p class="muted">${_("Its text is gone for everybody. This cannot be undone.")}</p>
      ${message.author.id !== store.me.id && html`<${ReasonField} />`}
    <//>`;
}

/** Why a moderator does something. It is kept in the audit log. @param {{onReason?: (reason: string) => void}} props */
export const ReasonField = ({ onReason }) => html`
  <${TextField} id="reason" name="reason" label=${_("Reason")} max=${REASON_MAX_CHARS} help=${_("Only those who run the site see it.")} onText=${onReason} />`;

/** A button that asks once more. @param {{words: string, sureWords: string, onSure: () => void}} props */
export function Sure({ words, sureWords, onSure }) {
  const [isAsked, setAsked] = useState(false);
  return html`<button type="button" class="button danger" onClick=${isAsked ? onSure : () => setAsked(true)}>${isAsked ? sureWords : words}</button>`;
}

/** @param {string} role */
export function roleWord(role) {
  return { owner: _("owner"), moderator: _("moderator"), member: _("member"), guest: _("guest") }[role] ?? role;
}

/**
 * @param {{id: string, name: string, label: string, max: number, value?: string, isRequired?: boolean, help?: string,
 *   onText?: (text: string) => void}} props
 */
export const TextField = ({ id, name, label, max, value = "", isRequired = false, help, onText }) => html`
  <div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} name=${name} class="input" required=${isRequired} maxlength=${max} autocomplete="off" dir="auto" defaultValue=${value}
      aria-describedby=${help && `${id}-help`} onInput=${(/** @type {any} */ event) => onText?.(event.target.value)} />
    ${help && html`<p id=${`${id}-help`} class="help">${help}</p>`}
  </div>`;

/** @param {{isPublic: boolean}} props */
function Kinds({ isPublic }) {
  const kind = (/** @type {string} */ value, /** @type {boolean} */ isOn, /** @type {string} */ words) => html`
    <label class="check"><input type="radio" name="kind" value=${value} defaultChecked=${isOn} /> ${words}</label>`;
  return html`
    <fieldset class="choice">
      <legend class="visually-hidden">${_("Who may join")}</legend>
      ${kind("public", isPublic, _("Public: everybody here may join"))}
      ${kind("private", !isPublic, _("Private: by invitation"))}
    </fieldset>`;
}
