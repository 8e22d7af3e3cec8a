import { useEffect } from "preact/hooks";
import { _ } from "realtime/texts";

import { fullTimeText, nameOf } from "../lib/format.js";
import { MEMBER } from "../lib/rights.js";
import { pin } from "../state/message-actions.js";
import { Dialog, DialogActions } from "./dialog.js";
import { html } from "./html.js";
import { MessageBody } from "./message-row.js";
/** @import {Place} from "../types.js" */

/** The pinned messages of a room, the last pinned first. @param {Place & {onClose: () => void}} props */
export function Pins({ store, room, onClose }) {
  const pins = room.pins.value;
  const mayUnpin = store.rank(room) >= MEMBER;
  useEffect(() => void (pins === null && room.loadPins()), [pins, store.connection.value.name]);
  return html`
    <${Dialog} title=${_("Pinned messages")} onClose=${onClose}>
      ${pins === null && html`<p class="muted">${room.requests.errors.value["pin.list"] || _("Loading…")}</p>`}
      ${pins?.length === 0 && html`<p class="muted">${_("Nothing is pinned yet. What everybody should find again is pinned with “More” beside a message.")}</p>`}
      <ul class="pins">
        ${pins?.map((message) => html`
          <li key=${message.seq}>
            <p class="pin-head"><bdi class="message-author">${nameOf(message.author)}</bdi> <time class="muted" datetime=${message.sent_at}>${fullTimeText(new Date(message.sent_at))}</time></p>
            <${MessageBody} message=${message} store=${store} />
            <p class="actions">
              ${mayUnpin && html`<button type="button" class="button small" onClick=${() => pin(store, message, false)}>${_("Unpin")}</button>`}
              <button type="button" class="button small" onClick=${() => (onClose(), room.jumpTo(message.seq))}>${_("Show")}</button>
            </p>
          </li>`)}
      </ul>
      <${DialogActions} no=${_("Close")} onClose=${onClose} />
    <//>`;
}
