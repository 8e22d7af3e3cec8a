import { _ } from "realtime/texts";

import { html } from "./html.js";
import { EditIcon, IconButton, MoreIcon } from "./icons.js";
import { ReplyIcon, SmileIcon } from "./tool-icons.js";
/** @import {ChatStore, Message} from "../types.js" */

const QUICK_EMOJI = ["👍", "❤️", "🎉"];

/**
 * The actions for the message under the pointer or the focus.
 * @param {{message: Message, store: ChatStore, setOpen: (isOpen: boolean) => void}} props
 */
export function RowTools({ message, store, setOpen }) {
  const { actions } = store;
  const open = (/** @type {"emoji" | "menu"} */ kind) => (/** @type {Event} */ event) => {
    setOpen(true);
    actions.floating.value = { kind, message, anchor: /** @type {HTMLElement} */ (event.currentTarget), onClosed: () => setOpen(false) };
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
