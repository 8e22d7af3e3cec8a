import { _ } from "../lib/texts.js";
import { html } from "./html.js";

/**
 * For a reader who is no longer in the room. The text stays, to be copied or sent after joining again.
 * @param {import("./composer.js").Place} props
 */
export function Outside({ store, room }) {
  const { name, is_public } = room.room.value;
  const [before, after] = _("You are no longer in {name}. What you typed stays here.").split("{name}");
  return html`
    <div class="composer-note" role="alert">
      <span>${before}<bdi>${name}</bdi>${after}</span>
      ${is_public && html`<button type="button" class="button small" onClick=${() => store.joinRoom(room.id)}>${_("Join again")}</button>`}
    </div>`;
}
