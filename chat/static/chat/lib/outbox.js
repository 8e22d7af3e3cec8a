/** @import {Draft, Entry} from "../types.js" */

/**
 * Messages on their way. They are shown at once, sent in order and kept until the server confirms them. All
 * functions are pure; an outbox is an array, oldest first. Each room is a queue of its own.
 */

/** Unsent messages of one user that are kept. More are refused, and their text stays where it is. */
export const OUTBOX_MAX = 500;
/** After so many failures the reader must send the message again, edit it or discard it. */
export const TRIES_MAX = 8;
// Rooms that are served at the same time.
const ROOMS_AT_ONCE_MAX = 4;
const RETRY_MIN_MS = 2_000;
const RETRY_MAX_MS = 30_000;

/**
 * The text of a message as it is sent: without blank lines around it, but with the indentation of its first
 * line. Half a character (a surrogate without its pair), which the server would refuse, becomes U+FFFD.
 * @param {string} text
 */
export const textToSend = (text) => text.toWellFormed().replace(/^(?:[^\S\n]*\n)+/, "").trimEnd();

/**
 * The outbox with one more message. It is the latest, even in the same millisecond or after the clock was set back: the next page sorts by time.
 * @param {readonly Entry[]} outbox @param {Draft} message @returns {Entry[]}
 */
export function withMessage(outbox, message) {
  const times = [message, ...outbox].map(({ created_at }, index) => Date.parse(created_at) + Number(index > 0));
  return [...outbox, { ...message, created_at: new Date(Math.max(...times)).toISOString(), state: "waiting", error: "", tries: 0 }];
}

/** @param {readonly Entry[]} outbox @param {string} clientMsgId */
export const without = (outbox, clientMsgId) => outbox.filter((entry) => entry.client_msg_id !== clientMsgId);

/** @param {readonly Entry[]} outbox @param {string} clientMsgId @param {Partial<Entry>} change */
export function changed(outbox, clientMsgId, change) {
  return outbox.map((entry) => (entry.client_msg_id === clientMsgId ? { ...entry, ...change } : entry));
}

/**
 * The messages to send now: of each room the first that waits, unless one of the room is on its way.
 * @param {readonly Entry[]} outbox @param {ReadonlySet<number>} [pausedRooms] rooms that wait before they try again
 */
export function nextToSend(outbox, pausedRooms = new Set()) {
  const sending = outbox.filter((entry) => entry.state === "sending");
  const busy = new Set([...pausedRooms, ...sending.map((entry) => entry.room_id)]);
  const next = [];
  for (const entry of outbox) {
    if (sending.length + next.length >= ROOMS_AT_ONCE_MAX) break;
    if (entry.state !== "waiting" || busy.has(entry.room_id)) continue;
    busy.add(entry.room_id);
    next.push(entry);
  }
  return next;
}

/**
 * The change of a message after an error, and the time that its room waits before the next attempt.
 * @param {Entry} entry @param {{code: string, message: string, retryable: boolean, retryAfterMs: number}} error
 * @returns {{change: Partial<Entry>, delayMs: number}}
 */
export function afterError(entry, { code, message, retryable, retryAfterMs }) {
  if (!retryable) return { change: { state: "failed", error: message }, delayMs: 0 };
  // It says nothing about the message.
  if (code === "rate_limited") return { change: { state: "waiting" }, delayMs: Math.max(retryAfterMs, RETRY_MIN_MS) };
  const tries = entry.tries + 1;
  if (tries >= TRIES_MAX) return { change: { state: "failed", error: message, tries: 0 }, delayMs: 0 };
  // A lost connection counts too: the message may cause it. The next connection begins without a wait.
  if (code === "disconnected") return { change: { state: "waiting", tries }, delayMs: 0 };
  const delayMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (tries - 1));
  return { change: { state: "waiting", tries }, delayMs: Math.max(retryAfterMs, delayMs) };
}

/** Whether a message of a room was refused, and waits for the reader. @param {readonly Entry[]} outbox @param {number} roomId */
export const isRefusedIn = (outbox, roomId) => outbox.some((entry) => entry.room_id === roomId && entry.state === "failed");

/** The number of messages that still have to be sent. @param {readonly Entry[]} outbox */
export const waitingCount = (outbox) => outbox.filter((entry) => entry.state !== "failed").length;

/**
 * The outbox with messages that an earlier page left, oldest first. One that was being sent may have arrived or
 * not. It is sent again with the same client_msg_id, and the server answers with the stored message if it has it.
 * @param {readonly Entry[]} outbox @param {readonly Entry[]} left
 */
export function withLeft(outbox, left) {
  const known = new Set(outbox.map((entry) => entry.client_msg_id));
  const more = left.filter((entry) => !known.has(entry.client_msg_id));
  const waiting = more.map((entry) => (entry.state === "sending" ? { ...entry, state: /** @type {const} */ ("waiting") } : entry));
  return [...waiting, ...outbox].sort((a, b) => a.created_at.localeCompare(b.created_at));
}
