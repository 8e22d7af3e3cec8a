import { _ } from "realtime/texts";

import { html } from "./html.js";
import { EditIcon, IconButton, MoreIcon } from "./icons.js";
import { ReplyIcon, SmileIcon } from "./tool-icons.js";
/** @import {ChatStore, Message} from "../types.js" */

const QUICK_EMOJI = ["👍", "❤️", "🎉"];

/** The actions for the message under the pointer or the focus. @param {{message: Message, store: ChatStore}} props */
export function RowTools({ message, store }) {
  const { actions } = store;
  const open = (/** @type {"emoji" | "menu"} */ kind) => (/** @type {Event} */ event) => {
    actions.floating.value = { kind, message, anchor: /** @type {HTMLElement} */ (event.currentTarget) };
  };
  return html`
    <div class="message-tools" role="toolbar" aria-label=${_("Actions")}>
      ${QUICK_EMOJI.map((emoji) => html`<${IconButton} label=${_("React with {emoji}", { emoji })} icon=${() => emoji} onClick=${() => actions.react(message, emoji)} />`)}
      <${IconButton} label=${_("React with another emoji")} icon=${SmileIcon} onClick=${open("emoji")} />
      <${IconButton} label=${_("Reply")} icon=${ReplyIcon} onClick=${() => actions.reply(message)} />
      ${actions.mayEdit(message) && html`<${IconButton} label=${_("Edit")} icon=${EditIcon} onClick=${() => actions.edit(message)} />`}
      <${IconButton} label=${_("More")} icon=${MoreIcon} onClick=${open("menu")} />
    </div>`;
}
