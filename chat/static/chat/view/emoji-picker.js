import { useMemo, useRef, useState } from "preact/hooks";
import { _ } from "realtime/texts";

import { emojiFound, groupsOf, TONES, withRecent, withTone } from "../lib/emoji.js";
import { TABLE } from "../lib/emoji-table.js";
import { choiceOf, choose } from "../state/choices.js";
import { Floating } from "./floating.js";
import { html } from "./html.js";
import { isForInputMethod } from "./keys.js";
/** @import {Emoji} from "../lib/emoji.js" */

// As in the style sheet.
const COLUMNS = 8;
const GROUPS = groupsOf(TABLE);
const ALL = GROUPS.flatMap(({ emoji }) => emoji);

/**
 * A grid of all emoji in groups, with a search. Arrows go through the grid.
 * @param {{anchor: HTMLElement, onChoose: (emoji: string) => void, onClose: () => void}} props
 */
export function EmojiPicker({ anchor, onChoose, onClose }) {
  const recent = useMemo(recentEmoji, []);
  const [query, setQuery] = useState("");
  const [group, setGroup] = useState(recent.length > 0 ? -1 : 0);
  const [tone, setTone] = useState(choiceOf("emoji-tone", ""));
  const search = useRef(/** @type {HTMLInputElement | null} */ (null));
  const found = query.trim() !== "";
  const shown = found ? emojiFound(query, ALL) : group < 0 ? recent : GROUPS[group].emoji;
  const take = (/** @type {string} */ emoji) => {
    choose("emoji-recent", withRecent(choiceOf("emoji-recent", []), emoji));
    onChoose(emoji);
    onClose();
  };
  const onEnter = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || isForInputMethod(event)) return;
    // It would send the form around the picker.
    event.preventDefault();
    if (found && shown[0]) take(withTone(shown[0], tone));
  };
  const tab = (/** @type {number} */ at, /** @type {string} */ name, /** @type {string} */ sign) => html`
    <button type="button" role="tab" aria-label=${name} title=${name} aria-selected=${!found && at === group}
      onClick=${() => (setQuery(""), setGroup(at))}>${sign}</button>`;
  return html`
    <${Floating} anchor=${anchor} label=${_("Emoji")} class="emoji-picker" onClose=${onClose}>
      <div onKeyDown=${(/** @type {KeyboardEvent} */ event) => move(event, search.current)}>
        <input class="input" ref=${search} type="text" role="searchbox" autofocus autocomplete="off" aria-label=${_("Find an emoji")} placeholder=${_("Find an emoji")} value=${query}
          onInput=${(/** @type {any} */ event) => setQuery(event.target.value)}
          onKeyDown=${onEnter} />
        <div class="emoji-tabs" role="tablist" aria-label=${_("Groups")}>
          ${recent.length > 0 && tab(-1, _("Used last"), "🕘")}
          ${GROUPS.map(({ name, emoji }, at) => tab(at, _(name), emoji[0].emoji))}
        </div>
        <div class="emoji-grid" role="group" aria-label=${found ? _("Found") : group < 0 ? _("Used last") : _(GROUPS[group].name)}>
          ${shown.map((each) => html`<${Sign} key=${each.emoji} emoji=${each} tone=${tone} onTake=${take} />`)}
          ${shown.length === 0 && html`<p class="muted">${_("No emoji has such a name.")}</p>`}
        </div>
        <div class="emoji-tones" role="group" aria-label=${_("Skin tone")}>
          ${TONES.map((each, at) => html`<button type="button" aria-pressed=${each === tone} aria-label=${at === 0 ? _("No skin tone") : _("Skin tone {number}", { number: at })}
            onClick=${() => (choose("emoji-tone", each), setTone(each))}>${`✋${each}`}</button>`)}
        </div>
      </div>
    <//>`;
}

/** @param {{emoji: Emoji, tone: string, onTake: (emoji: string) => void}} props */
function Sign({ emoji, tone, onTake }) {
  const sign = withTone(emoji, tone);
  return html`<button type="button" aria-label=${emoji.names[0].replaceAll("_", " ")} title=${`:${emoji.names[0]}:`} onClick=${() => onTake(sign)}>${sign}</button>`;
}

/** @returns {Emoji[]} */
function recentEmoji() {
  const known = new Map(ALL.map((each) => [each.emoji, each]));
  return choiceOf("emoji-recent", /** @type {string[]} */ ([])).map((emoji) => ({ ...(known.get(emoji) ?? { names: ["emoji"], words: [] }), emoji, hasTones: false }));
}

/**
 * Arrows move the focus in the grid; letters go to the search.
 * @param {KeyboardEvent} event @param {HTMLInputElement | null} search
 */
function move(event, search) {
  const at = /** @type {HTMLElement} */ (event.target);
  const signs = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll(".emoji-grid button")];
  const index = signs.indexOf(at);
  const isLetter = [...event.key].length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey;
  if (isLetter && at !== search) return search?.focus();
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
  if (step === undefined || (index < 0 && event.key !== "ArrowDown")) return undefined;
  event.preventDefault();
  const next = index < 0 ? signs[0] : signs[index + step];
  return /** @type {HTMLElement | null} */ (next ?? (step < 0 ? search : at))?.focus();
}
