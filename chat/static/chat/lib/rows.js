/**
 * The rows of the message list.
 *
 * @typedef {import("./timeline.js").Message} Message
 * @typedef {import("./outbox.js").Entry} Entry
 * @typedef {{kind: "day", key: string, at: Date}} DayRow
 * @typedef {{kind: "new", key: string}} NewRow
 * @typedef {{kind: "message", key: string, author: {id: number, username: string}, text: string, at: Date, isOwn: boolean, startsGroup: boolean, entry: Entry | null}} MessageRow
 * @typedef {DayRow | NewRow | MessageRow} Row
 */

const GROUP_MS = 5 * 60_000;

/**
 * Messages, then unconfirmed ones: divided by day, grouped by author, with a mark before the first unread
 * one.
 * @param {readonly Message[]} messages
 * @param {readonly Entry[]} entries the reader's own messages that the server has not confirmed
 * @param {{me: {id: number, username: string}, newAfterSeq?: number | null}} reader
 * @returns {Row[]}
 */
export function rowsOf(messages, entries, { me, newAfterSeq = null }) {
  /** @type {Row[]} */
  const rows = [];
  let isMarked = newAfterSeq === null;
  for (const message of messages) {
    const needsMark = !isMarked && message.seq > /** @type {number} */ (newAfterSeq);
    const row = messageRow(message, me);
    addDay(rows, row.at);
    if (needsMark) rows.push({ kind: "new", key: "new" });
    isMarked ||= needsMark;
    addMessage(rows, row);
  }
  for (const entry of entries) {
    const row = entryRow(entry, me);
    addDay(rows, row.at);
    addMessage(rows, row);
  }
  return rows;
}

/**
 * @param {Message} message
 * @param {{id: number}} me
 * @returns {MessageRow}
 */
function messageRow(message, me) {
  const { client_msg_id: key, author, text } = message;
  const at = new Date(message.sent_at);
  return { kind: "message", key, author, text, at, isOwn: author.id === me.id, startsGroup: true, entry: null };
}

/**
 * @param {Entry} entry
 * @param {{id: number, username: string}} me
 * @returns {MessageRow}
 */
function entryRow(entry, me) {
  const { client_msg_id: key, text } = entry;
  return { kind: "message", key, author: me, text, at: new Date(entry.created_at), isOwn: true, startsGroup: true, entry };
}

/**
 * @param {Row[]} rows
 * @param {Date} at
 */
function addDay(rows, at) {
  const last = rows.findLast((row) => row.kind !== "new");
  if (last !== undefined && isSameDay(last.at, at)) return;
  rows.push({ kind: "day", key: `day-${at.getFullYear()}-${at.getMonth()}-${at.getDate()}`, at });
}

/**
 * @param {Row[]} rows
 * @param {MessageRow} row
 */
function addMessage(rows, row) {
  const last = rows.at(-1);
  const continues =
    last?.kind === "message" && last.author.id === row.author.id && row.at.getTime() - last.at.getTime() < GROUP_MS;
  rows.push({ ...row, startsGroup: !continues });
}

/**
 * @param {Date} a
 * @param {Date} b
 */
function isSameDay(a, b) {
  return a.toDateString() === b.toDateString();
}
