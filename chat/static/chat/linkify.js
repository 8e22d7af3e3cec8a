/** @typedef {{text: string, url: string | null}} Part */

const URL_PATTERN = /https?:\/\/[^\s<>"]+/gi;
// A sentence's punctuation, and a bracket that was opened before the address, do not belong to it.
const TRAILING = /[.,;:!?'"»”]+$/;
// `https://bank.example@evil.example` leads to evil.example. Browsers take any number of slashes, of either kind.
const WITH_USER = /^https?:[/\\]*[^/\\?#]*@/i;
// What shows nothing or turns the direction of reading makes an address look like another.
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cf}\u2800\ufffc]/u;
// LRO and RLO: what follows is shown in an order of the writer's choice.
const OVERRIDE = /[\u202d\u202e]/;

/**
 * A text in parts, its web addresses apart. Only http and https ever become links, and only where the reader sees
 * where they lead: not with a user name or invisible characters in them, nor in a text that overrides its direction.
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
