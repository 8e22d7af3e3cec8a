/** @import {Author, Entry, Message} from "../types.js" */

/**
 * The rows of the message list.
 *
 * @typedef {{kind: "day", key: string, at: Date}} DayRow
 * @typedef {{kind: "new", key: string}} NewRow
 * @typedef {{kind: "message", key: string, author: Author, at: Date, isOwn: boolean,
 *   startsGroup: boolean, message: Message | null, entry: Entry | null}} MessageRow
 *   message: null as long as the server has not confirmed it; entry: null from then on
 * @typedef {DayRow | NewRow | MessageRow} Row
 * @typedef {{kind: "block", key: string, rows: (NewRow | MessageRow)[]}} Block
 * @typedef {WeakMap<object, MessageRow>} RowCache
 * @typedef {{id: number, username: string, name?: string}} Me
 */

const GROUP_MS = 5 * 60_000;
const BLOCK_ROWS = 32;

/**
 * Messages, then unconfirmed ones: divided by day, grouped by author, with a mark before the first unread
 * one. A row whose message and place did not change is the same object as before, so that it need not be drawn.
 * @param {readonly Message[]} messages
 * @param {readonly Entry[]} entries the reader's own messages that the server has not confirmed
 * @param {{me: Me, newAfterSeq?: number | null, isMarkedHere?: boolean, hasOlder?: boolean,
 *   cache?: RowCache}} reader newAfterSeq: the last message that was read; isMarkedHere: the reader marked the one after it as
 *   unread, whatever it is; hasOlder: there are messages before the first of these
 * @returns {Row[]}
 */
export function rowsOf(messages, entries, { me, newAfterSeq = null, isMarkedHere = false, hasOlder = false, cache = new WeakMap() }) {
  /** @type {Row[]} */
  const rows = [];
  let isMarked = newAfterSeq === null;
  messages.forEach((message, index) => {
    const isAfter = !isMarked && message.seq > /** @type {number} */ (newAfterSeq);
    // Without the message before it, it is unknown whether this is the first new one.
    const isUnknown = isAfter && index === 0 && hasOlder;
    // The reader's own and deleted messages never count as unread.
    const needsMark = isAfter && !isUnknown && (isMarkedHere || (message.author.id !== me.id && !message.deleted));
    isMarked ||= needsMark || isUnknown;
    add(rows, cache, cache.get(message) ?? rowOf(message, null, me), needsMark);
  });
  for (const entry of entries) add(rows, cache, cache.get(entry) ?? rowOf(null, entry, me));
  return rows;
}

/**
 * The rows between the days in blocks, which a browser can leave alone while others change. A message is in the same block
 * wherever the list begins.
 * @param {readonly Row[]} rows that begin with a day
 */
export function blocksOf(rows) {
  /** @type {(DayRow | Block)[]} */
  const blocks = [];
  let seq = 0;
  let day = "";
  rows.forEach((row, index) => {
    if (row.kind === "day") {
      blocks.push(row);
      day = row.key;
      return;
    }
    const at = row.kind === "new" ? rows[index + 1] : row;
    // A message that is on its way will probably be the next.
    const next = at?.kind === "message" && at.message ? at.message.seq : seq + 1;
    if (row.kind === "message") seq = next;
    const key = `${day}-${Math.floor(next / BLOCK_ROWS)}`;
    const last = blocks.at(-1);
    if (last?.kind === "block" && last.key === key) last.rows.push(row);
    else blocks.push({ kind: "block", key, rows: [row] });
  });
  return blocks;
}

/**
 * The row of a message, or of an entry that the server has not confirmed.
 * @param {Message | null} message @param {Entry | null} entry @param {Me} me @returns {MessageRow}
 */
function rowOf(message, entry, me) {
  const { client_msg_id: key } = /** @type {Message | Entry} */ (message ?? entry);
  const author = message?.author ?? { name: me.username, ...me };
  const at = new Date(message?.sent_at ?? entry?.created_at ?? "");
  return { kind: "message", key, author, at, isOwn: author.id === me.id, startsGroup: true, message, entry };
}

/** @param {Row[]} rows @param {RowCache} cache @param {MessageRow} row @param {boolean} [needsMark] */
function add(rows, cache, row, needsMark) {
  const source = /** @type {Message | Entry} */ (row.message ?? row.entry);
  const before = rows.findLast((each) => each.kind !== "new");
  if (!before || !isSameDay(before.at, row.at)) rows.push({ kind: "day", key: `day-${row.at.toDateString()}`, at: row.at });
  if (needsMark) rows.push({ kind: "new", key: "new" });
  const last = rows.at(-1);
  const continues = last?.kind === "message" && last.author.id === row.author.id && row.at.getTime() - last.at.getTime() < GROUP_MS && !source.reply_to;
  const placed = row.startsGroup === !continues ? row : { ...row, startsGroup: !continues };
  cache.set(source, placed);
  rows.push(placed);
}

/** @param {Date} a @param {Date} b */
const isSameDay = (a, b) => a.getDate() === b.getDate() && a.getMonth() === b.getMonth() && a.getFullYear() === b.getFullYear();
