import { _ } from "realtime/texts";

import { Dialog, DialogActions } from "./dialog.js";
import { html } from "./html.js";

/** The keys of the page by place. @returns {[string, [string, string][]][]} */
const sections = () => [
  [_("In a new message"), [
    ["Enter", _("Send")],
    ["Shift Enter", _("A new line")],
    ["↑", _("Edit your last message")],
    ["Ctrl B", _("Bold")],
    ["Ctrl I", _("Italic")],
    ["Ctrl E", _("Code")],
    ["@", _("Mention somebody, or all in the room")],
    ["#", _("Name a room")],
    [":", _("An emoji by its name")],
  ]],
  [_("Everywhere"), [
    ["Ctrl K", _("Find rooms, people and messages")],
    ["Alt ↓", _("The next room")],
    ["Alt ↑", _("The room before")],
    ["Esc", _("Everything here is read")],
    ["Ctrl /", _("This list")],
  ]],
  [_("Among the messages"), [
    ["↑ ↓", _("From message to message")],
    ["Home End", _("To the first and the last one")],
    ["Enter", _("To what can be done with it")],
    ["Esc", _("Back to your message")],
  ]],
];

/** The shortcuts of the page. @param {{onClose: () => void}} props */
export const Shortcuts = ({ onClose }) => html`
  <${Dialog} title=${_("Keyboard shortcuts")} isWide onClose=${onClose}>
    <div class="shortcuts">
      ${sections().map(([title, keys]) => html`
        <section>
          <h3>${title}</h3>
          <dl>${keys.map(([key, words]) => html`<div><dt>${key.split(" ").map((each) => html`<kbd>${each}</kbd> `)}</dt><dd>${words}</dd></div>`)}</dl>
        </section>`)}
    </div>
    <${DialogActions} no=${_("Close")} onClose=${onClose} />
  <//>`;
