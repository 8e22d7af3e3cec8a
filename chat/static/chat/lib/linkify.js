/** @typedef {{text: string, url: string | null}} Part */

const URL_PATTERN = /https?:\/\/[^\s<>"]+/gi;
// Punctuation at the end of a sentence, and a bracket opened before the URL, are not part of the URL.
const TRAILING = /[.,;:!?'"»”]+$/;
// `https://bank.example@evil.example` leads to evil.example. Browsers accept any number of slashes of both
// kinds.
const WITH_USER = /^https?:[/\\]*[^/\\?#]*@/i;
// Invisible characters and those that change the reading direction can make a URL look like another one.
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cf}\u2800\ufffc]/u;
// LRO and RLO: the following text is shown in an order that the writer chooses.
const OVERRIDE = /[\u202d\u202e]/;

/**
 * Splits a text into plain parts and URLs. Only http and https become links, and only if the reader can see
 * where they lead: without a user name or invisible characters, and not in a text that overrides its
 * direction.
 * @param {string} text
 * @returns {Part[]}
 */
export function linkified(text) {
  /** @type {Part[]} */
  const parts = [];
  let end = 0;
  for (const match of OVERRIDE.test(text) ? [] : text.matchAll(URL_PATTERN)) {
    const url = withoutTail(match[0]);
    if (!URL.canParse(url) || WITH_USER.test(url) || INVISIBLE.test(url)) continue;
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
