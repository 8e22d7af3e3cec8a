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
 */

const GROUP_MS = 5 * 60_000;
const BLOCK_ROWS = 32;

/**
 * Messages, then unconfirmed ones: divided by day, grouped by author, with a mark before the first unread
 * one. A row whose message and place did not change is the same object as before, so that it need not be drawn.
 * @param {readonly Message[]} messages
 * @param {readonly Entry[]} entries the reader's own messages that the server has not confirmed
 * @param {{me: {id: number, username: string, name?: string}, newAfterSeq?: number | null, isMarkedHere?: boolean, hasOlder?: boolean,
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
    addMessage(rows, cache, message, needsMark, () => messageRow(message, me));
  });
  for (const entry of entries) addMessage(rows, cache, entry, false, () => entryRow(entry, me));
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

/** @param {Message} message @param {{id: number}} me @returns {MessageRow} */
function messageRow(message, me) {
  const { client_msg_id: key, author } = message;
  const at = new Date(message.sent_at);
  return { kind: "message", key, author, at, isOwn: author.id === me.id, startsGroup: true, message, entry: null };
}

/** @param {Entry} entry @param {{id: number, username: string, name?: string}} me @returns {MessageRow} */
function entryRow(entry, me) {
  const author = { name: me.username, ...me };
  return { kind: "message", key: entry.client_msg_id, author, at: new Date(entry.created_at), isOwn: true, startsGroup: true, message: null, entry };
}

/**
 * @param {Row[]} rows
 * @param {RowCache} cache
 * @param {Message | Entry} source
 * @param {boolean} needsMark
 * @param {() => MessageRow} make
 */
function addMessage(rows, cache, source, needsMark, make) {
  const row = cache.get(source) ?? make();
  addDay(rows, row.at);
  if (needsMark) rows.push({ kind: "new", key: "new" });
  const last = rows.at(-1);
  const continues =
    last?.kind === "message" && last.author.id === row.author.id && row.at.getTime() - last.at.getTime() < GROUP_MS && !(row.message ?? row.entry)?.reply_to;
  const placed = row.startsGroup === !continues ? row : { ...row, startsGroup: !continues };
  cache.set(source, placed);
  rows.push(placed);
}

/** @param {Row[]} rows @param {Date} at */
function addDay(rows, at) {
  const last = rows.findLast((row) => row.kind !== "new");
  if (last !== undefined && isSameDay(last.at, at)) return;
  rows.push({ kind: "day", key: `day-${at.getFullYear()}-${at.getMonth()}-${at.getDate()}`, at });
}

/** @param {Date} a @param {Date} b */
function isSameDay(a, b) {
  return a.getDate() === b.getDate() && a.getMonth() === b.getMonth() && a.getFullYear() === b.getFullYear();
}
