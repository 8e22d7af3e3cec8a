/**
 * Change the text of a field as if the reader had typed it.
 * @param {HTMLTextAreaElement} area @param {import("../lib/formatting.js").Edit} edit
 */
export function applyEdit(area, { start, end, text, selectStart, selectEnd }) {
  area.focus();
  area.setSelectionRange(start, end);
  // The only way that keeps the browser's undo.
  if (!document.execCommand(text === "" ? "delete" : "insertText", false, text)) {
    area.setRangeText(text, start, end);
    area.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }
  area.setSelectionRange(selectStart, selectEnd);
}
