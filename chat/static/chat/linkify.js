/** @typedef {{text: string, url: string | null}} Part */

const URL_PATTERN = /https?:\/\/[^\s<>"]+/gi;
// A sentence's punctuation, and a bracket that was opened before the address, do not belong to it.
const TRAILING = /[.,;:!?'"»”]+$/;

/**
 * A text in parts, its web addresses apart. Only http and https ever become links.
 * @param {string} text
 * @returns {Part[]}
 */
export function linkified(text) {
  /** @type {Part[]} */
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(URL_PATTERN)) {
    const url = withoutTail(match[0]);
    if (!URL.canParse(url)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), url: null });
    parts.push({ text: url, url });
    end = match.index + url.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), url: null });
  return parts;
}

/** @param {string} url */
function withoutTail(url) {
  const bare = url.replace(TRAILING, "");
  return bare.endsWith(")") && !bare.includes("(") ? bare.slice(0, -1).replace(TRAILING, "") : bare;
}
