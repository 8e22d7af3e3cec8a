import { useRef, useState } from "preact/hooks";
import { _ } from "realtime/texts";

import { formatted } from "../lib/formatting.js";
// Soon needed, maybe without a network.
import "../state/files.js";
import "../state/upload.js";
import "./attachments.js";
import "./notifications.js";
import "./row-tools.js";
import "./text-extras.js";
import { applyEdit } from "./editing.js";
import { useEvents } from "./events.js";
import { html } from "./html.js";
import { IconButton } from "./icons.js";
import { lazy } from "./lazy.js";
import { AttachIcon, BoldIcon, CodeIcon, ItalicIcon, LinkIcon, ListIcon, QuoteIcon, SmileIcon } from "./tool-icons.js";
/** @import {Writing} from "../types.js" */
/** @import {Format} from "../lib/formatting.js" */

const EmojiPicker = lazy(() => import("./emoji-picker.js"), "EmojiPicker");

/** Keys are pressed with Ctrl or ⌘. @type {{format: Format, label: string, icon: () => any, key?: string}[]} */
const FORMATS = [
  { format: "bold", label: _("Bold (Ctrl+B)"), icon: BoldIcon, key: "b" },
  { format: "italic", label: _("Italic (Ctrl+I)"), icon: ItalicIcon, key: "i" },
  { format: "code", label: _("Code (Ctrl+E)"), icon: CodeIcon, key: "e" },
  { format: "quote", label: _("Quote"), icon: QuoteIcon },
  { format: "list", label: _("List"), icon: ListIcon },
  { format: "link", label: _("Link"), icon: LinkIcon },
];

/** The buttons that add files, emoji and formats to a message. @param {Writing} props */
export function ComposerTools({ store, room, input }) {
  const { name, is_member } = room.room.value;
  const attach = (/** @type {Iterable<File>} */ files) => {
    store.actions.attach(room.id, files);
    input.current.focus();
  };
  const isOver = useDrop(is_member ? attach : null);
  useEvents(() => input.current, { paste: (event) => paste(event, attach), keydown: onKeyDown });
  return html`
    <${AttachButton} isDisabled=${!is_member} onFiles=${attach} />
    <${EmojiButton} store=${store} input=${input} />
    <${FormatBar} input=${input} />
    ${isOver && html`<div class="drop-hint">${_("Drop files to send them in {room}", { room: name })}</div>`}`;
}

/**
 * Files that are dropped anywhere on the page. Without this the browser would leave the page for the file.
 * @param {((files: Iterable<File>) => void) | null} onFiles null: none are taken
 * @returns {boolean} whether files are over the page
 */
function useDrop(onFiles) {
  const [isOver, setOver] = useState(false);
  const onDrag = (/** @type {DragEvent} */ event) => {
    const { dataTransfer: data, type } = event;
    if (!data?.types.includes("Files")) return;
    event.preventDefault();
    if (onFiles === null) data.dropEffect = "none";
    // Leaving an element for its neighbour tells of leaving, too.
    setOver(onFiles !== null && (type === "dragover" || (type === "dragleave" && event.relatedTarget !== null)));
    if (type === "drop") onFiles?.([...data.items].flatMap(fileOf));
  };
  useEvents(() => window, { dragover: onDrag, dragleave: onDrag, drop: onDrag });
  return isOver;
}

/** A folder cannot be read: it is an empty file, which is refused. @param {DataTransferItem} item @returns {File | []} */
function fileOf(item) {
  const folder = item.webkitGetAsEntry()?.isDirectory && item.getAsFile();
  return folder ? new File([], folder.name) : item.getAsFile() ?? [];
}

/** @param {{isDisabled: boolean, onFiles: (files: Iterable<File>) => void}} props */
function AttachButton({ isDisabled, onFiles }) {
  const chooser = useRef(/** @type {HTMLInputElement | null} */ (null));
  const onChange = () => {
    const { files, value } = /** @type {HTMLInputElement} */ (chooser.current);
    if (files && value) onFiles([...files]);
    // The same file may be chosen again.
    /** @type {HTMLInputElement} */ (chooser.current).value = "";
  };
  return html`
    <${IconButton} label=${_("Attach files")} icon=${AttachIcon} disabled=${isDisabled} onClick=${() => chooser.current?.click()} />
    <input type="file" ref=${chooser} multiple hidden onChange=${onChange} />`;
}

/** @param {Pick<Writing, "store" | "input">} props */
function EmojiButton({ store, input }) {
  const [anchor, setAnchor] = useState(/** @type {EventTarget | null} */ (null));
  const insert = (/** @type {string} */ emoji) => {
    const area = input.current;
    const { selectionStart: start, selectionEnd: end } = area;
    const at = start + emoji.length;
    if (!area.readOnly) applyEdit(area, { start, end, text: emoji, selectStart: at, selectEnd: at });
  };
  return html`
    <${IconButton} label=${_("Emoji")} icon=${SmileIcon} aria-expanded=${anchor !== null}
      onClick=${(/** @type {Event} */ event) => setAnchor(anchor ? null : event.currentTarget)} />
    ${anchor && html`<${EmojiPicker} store=${store} anchor=${anchor} onChoose=${insert} onClose=${() => setAnchor(null)} />`}`;
}

/** Buttons that format the selected text. @param {Pick<Writing, "input">} props */
const FormatBar = ({ input }) => html`
  <span class="format-bar" role="group" aria-label=${_("Formatting")}>
    ${FORMATS.map(({ format, label, icon }) => html`
      <${IconButton} label=${label} icon=${icon} onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()}
        onClick=${() => applyFormat(input.current, format)} />`)}
  </span>`;

/** @param {KeyboardEvent} event */
function onKeyDown(event) {
  const pressed = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && FORMATS.find(({ key }) => key === event.key.toLowerCase());
  if (!pressed) return;
  event.preventDefault();
  applyFormat(/** @type {HTMLTextAreaElement} */ (event.currentTarget), pressed.format);
}

/** @param {HTMLTextAreaElement} area @param {Format} format */
function applyFormat(area, format) {
  if (!area.readOnly) applyEdit(area, formatted(area.value, area.selectionStart, area.selectionEnd, format));
}

/**
 * Pasted files are attached. Programs that copy text often add a picture of it: that is pasted as text.
 * @param {ClipboardEvent} event @param {(files: Iterable<File>) => void} attach
 */
function paste(event, attach) {
  const { files, types } = /** @type {DataTransfer} */ (event.clipboardData);
  const { readOnly } = /** @type {HTMLTextAreaElement} */ (event.currentTarget);
  if (readOnly || files.length === 0 || types.includes("text/plain")) return;
  event.preventDefault();
  attach([...files]);
}
