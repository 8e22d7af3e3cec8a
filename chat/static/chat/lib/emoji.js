/**
 * The emoji of the grid and of the composer. All functions are pure.
 *
 * @typedef {{emoji: string, names: string[], words: string[], hasTones: boolean}} Emoji
 *   names: the ones that the server replaces in texts, the shown one first; words: more to find it by
 * @typedef {{name: string, emoji: Emoji[]}} Group
 */

const RECENT_MAX = 24;
const FOUND_MAX = 64;
/** The skin tones, from none to dark. */
export const TONES = ["", "🏻", "🏼", "🏽", "🏾", "🏿"];
const PICTURE = "\ufe0f";

/** The groups of a table in the form of `emoji-table.js`. @param {readonly (readonly string[])[]} table @returns {Group[]} */
export const groupsOf = (table) => table.map(([name, entries]) => ({ name, emoji: entries.split("|").map(emojiOf) }));

/** @param {string} entry @returns {Emoji} */
function emojiOf(entry) {
  const [head, words = ""] = entry.split(",");
  const [sign, ...names] = head.split(" ");
  return { emoji: sign.replace("^", ""), names, words: words.split(" "), hasTones: sign.endsWith("^") };
}

/**
 * The emoji for a part of a name: names that begin with it first, then those with a word that does.
 * @param {string} query @param {readonly Emoji[]} all
 */
export function emojiFound(query, all) {
  const wanted = query.trim().toLocaleLowerCase().replaceAll(" ", "_").replaceAll(":", "");
  const rank = (/** @type {Emoji} */ { names, words }) => {
    if (names.includes(wanted)) return 0;
    if (names.some((name) => name.startsWith(wanted))) return 1;
    if (names.some((name) => name.includes(`_${wanted}`))) return 2;
    return words.some((word) => word.startsWith(wanted)) ? 3 : 4;
  };
  const found = all.map((each) => ({ each, rank: rank(each) })).filter((one) => one.rank < 4);
  return found.sort((a, b) => a.rank - b.rank).slice(0, FOUND_MAX).map(({ each }) => each);
}

/** @param {Emoji} emoji @param {string} tone one of TONES */
export function withTone({ emoji, hasTones }, tone) {
  if (!hasTones || tone === "") return emoji;
  const [first, ...rest] = emoji;
  return [first, tone, ...rest].join("").replace(tone + PICTURE, tone);
}

/** The emoji that were used last, the newest first. @param {readonly string[]} recent @param {string} emoji */
export const withRecent = (recent, emoji) => [emoji, ...recent.filter((each) => each !== emoji)].slice(0, RECENT_MAX);
