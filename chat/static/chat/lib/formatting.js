/**
 * Markdown for the selected text. All functions are pure.
 *
 * @typedef {"bold" | "italic" | "code" | "quote" | "list" | "link"} Format
 * @typedef {{start: number, end: number, text: string, selectStart: number, selectEnd: number}} Edit
 *   the text from start to end becomes `text`; then this is selected
 */

const MARKS = { bold: "**", italic: "_", code: "`" };
const PREFIXES = { quote: "> ", list: "- " };
const URL_START = "https://";

/**
 * The edit that formats a selection, or takes the format away.
 * @param {string} text @param {number} start @param {number} end @param {Format} format
 */
export function formatted(text, start, end, format) {
  const selected = text.slice(start, end);
  if (format === "link") return link(selected, start, end);
  if (format === "quote" || format === "list") return lines(text, start, end, PREFIXES[format]);
  if (format === "code" && selected.includes("\n")) return block(text, start, end);
  return marked(text, start, end, MARKS[format]);
}

/** @param {string} text @param {number} start @param {number} end @param {string} mark */
function marked(text, start, end, mark) {
  const { length } = mark;
  const isAround = start >= length && text.slice(start - length, start) === mark && text.slice(end, end + length) === mark;
  const selected = text.slice(start, end);
  if (isAround) return { start: start - length, end: end + length, text: selected, selectStart: start - length, selectEnd: end - length };
  const isInside = selected.length > 2 * length && selected.startsWith(mark) && selected.endsWith(mark);
  if (isInside) return { start, end, text: selected.slice(length, -length), selectStart: start, selectEnd: end - 2 * length };
  return { start, end, text: mark + selected + mark, selectStart: start + length, selectEnd: end + length };
}

/**
 * A prefix for each line that the selection touches, or none if all have it.
 * @param {string} text @param {number} start @param {number} end @param {string} prefix
 */
function lines(text, start, end, prefix) {
  const from = text.lastIndexOf("\n", start - 1) + 1;
  const next = text.indexOf("\n", end);
  const to = next === -1 ? text.length : next;
  const all = text.slice(from, to).split("\n");
  const hasAll = all.every((line) => line.startsWith(prefix));
  const changed = all.map((line) => (hasAll ? line.slice(prefix.length) : line.startsWith(prefix) ? line : prefix + line)).join("\n");
  const selectEnd = from + changed.length;
  return { start: from, end: to, text: changed, selectStart: all.length > 1 ? from : selectEnd, selectEnd };
}

/** Several lines of code are a block, on lines of its own. @param {string} text @param {number} start @param {number} end */
function block(text, start, end) {
  const before = start === 0 || text[start - 1] === "\n" ? "" : "\n";
  const after = end === text.length || text[end] === "\n" ? "" : "\n";
  const selectStart = start + before.length + 4;
  return { start, end, text: `${before}\`\`\`\n${text.slice(start, end)}\n\`\`\`${after}`, selectStart, selectEnd: selectStart + end - start };
}

/**
 * Turn the selection into the text of a link, or into its URL if it is a URL. The missing part is selected afterwards.
 * @param {string} selected @param {number} start @param {number} end
 */
function link(selected, start, end) {
  if (/^https?:\/\/\S+$/.test(selected)) return { start, end, text: `[](${selected})`, selectStart: start + 1, selectEnd: start + 1 };
  const selectStart = start + selected.length + 3;
  return { start, end, text: `[${selected}](${URL_START})`, selectStart, selectEnd: selectStart + URL_START.length };
}
