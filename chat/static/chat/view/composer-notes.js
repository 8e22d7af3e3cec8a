import { _ } from "realtime/texts";

import { nameOf, summaryOf } from "../lib/format.js";
import { html } from "./html.js";
import { CloseIcon, IconButton } from "./icons.js";
/** @import {Place} from "../types.js" */

/** For a reader who is no longer in the room. The text stays, to be copied or sent after joining again. @param {Place} props */
export function Outside({ store, room }) {
  const { name, is_public, archived } = room.room.value;
  const words = archived ? _("{name} was archived. What you typed stays here.", { name }) : _("You are no longer in {name}. What you typed stays here.", { name });
  return html`
    <div class="composer-note" role="alert">
      <span><span aria-hidden="true">⚠ </span>${words}</span>
      ${is_public && !archived && html`<button type="button" class="button small" onClick=${() => store.joinRoom(room.id)}>${_("Join again")}</button>`}
    </div>`;
}

/** The message that the text answers or edits. @param {{intent: import("../state/actions.js").Intent, onCancel: () => void}} props */
export function IntentLine({ intent, onCancel }) {
  const { kind, message } = intent;
  return html`
    <div class="composer-note">
      <span>${kind === "edit" ? _("Edit your message") : html`<bdi>${_("Reply to {name}:", { name: nameOf(message.author) })}</bdi> <bdi class="muted">${summaryOf(message)}</bdi>`}</span>
      <${IconButton} label=${_("Cancel")} title=${_("Cancel (Esc)")} icon=${CloseIcon} onClick=${onCancel} />
    </div>`;
}
