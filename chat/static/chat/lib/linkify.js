/** @typedef {{text: string, url: string | null}} Part */

const URL_PATTERN = /https?:\/\/[^\s<>"]+/gi;
// Punctuation at the end of a sentence, and a bracket opened before the URL, are not part of the URL. Full-width
// punctuation is followed by no space, so it ends a URL wherever it stands.
const TRAILING = /[.,;:!?'"»”*_~]+$/;
const FULL_WIDTH = /[\u3001\u3002\u3008-\u3011\u3014-\u301b\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\uff3b\uff3d\uff5b\uff5d-\uff64].*$/su;
const BRACKETS = new Map([
  [")", "("],
  ["]", "["],
  ["}", "{"],
]);
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
  let bare = url.replace(FULL_WIDTH, "").replace(TRAILING, "");
  // `(see https://a.example/x_(y))`: as many closing brackets belong to it as it opens.
  for (;;) {
    const close = bare.at(-1) ?? "";
    const open = BRACKETS.get(close);
    if (open === undefined || bare.split(open).length >= bare.split(close).length) return bare;
    bare = bare.slice(0, -1).replace(TRAILING, "");
  }
}
