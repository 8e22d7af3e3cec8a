import { _ } from "../lib/texts.js";
import { html } from "./html.js";
import { EditIcon, MoreIcon } from "./icons.js";
import { ReplyIcon, SmileIcon } from "./tool-icons.js";

const QUICK_EMOJI = ["👍", "❤️", "🎉"];

/**
 * The actions for the message under the pointer or the focus.
 * @param {{message: import("../lib/timeline.js").Message, store: import("../state/store.js").ChatStore, setOpen: (isOpen: boolean) => void}} props
 */
export function RowTools({ message, store, setOpen }) {
  const { actions } = store;
  const tool = (/** @type {string} */ name, /** @type {any} */ icon, /** @type {(event: Event) => void} */ act) =>
    html`<button type="button" class="icon-button" aria-label=${name} title=${name} onClick=${act}>${icon}</button>`;
  const open = (/** @type {"emoji" | "menu"} */ kind) => (/** @type {Event} */ event) => {
    setOpen(true);
    actions.floating.value = { kind, message, anchor: /** @type {HTMLElement} */ (event.currentTarget), onClosed: () => setOpen(false) };
  };
  return html`
    <div class="message-tools" role="toolbar" aria-label="Actions">
      ${QUICK_EMOJI.map((emoji) => tool(_("React with {emoji}", { emoji }), emoji, () => actions.react(message, emoji)))}
      ${tool(_("React with another emoji"), html`<${SmileIcon} />`, open("emoji"))}
      ${tool(_("Reply"), html`<${ReplyIcon} />`, () => actions.reply(message))}
      ${actions.mayEdit(message) && tool(_("Edit"), html`<${EditIcon} />`, () => actions.edit(message))}
      ${tool(_("More"), html`<${MoreIcon} />`, open("menu"))}
    </div>`;
}
