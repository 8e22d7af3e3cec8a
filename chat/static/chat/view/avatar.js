import { hueOf, initialOf, nameOf } from "../lib/format.js";
import { html } from "./html.js";
/** @import {RoomStore} from "../types.js" */

/**
 * The picture of a user, above the initial of the name. The author of a message has no picture: it is found in the room.
 * @param {{user: {id: number | null, username: string | null, name?: string, picture?: string | null}, room?: RoomStore}} props
 */
export function Avatar({ user, room }) {
  const picture = user.picture ?? room?.pictures.value.get(user.id);
  return html`
    <span class="avatar hue-${hueOf(user.id)}" aria-hidden="true">
      ${initialOf(nameOf(user))}${picture && html`<img src="${picture}thumbnail/" alt="" />`}
    </span>`;
}

/** A user's status, if it says more than the presence. @param {{status?: string, status_emoji?: string}} person */
export function statusOf({ status = "", status_emoji: emoji = "" }) {
  return [emoji, ["online", "offline"].includes(status) ? "" : status].filter(Boolean).join(" ");
}
