/** @import {Message, Page, Timeline} from "../types.js" */

/** The messages of a room that are on the page: a part of its history, without gaps. */

/** Messages kept on the page. Beyond it the far end is dropped, and loaded again when the reader scrolls to it. */
export const WINDOW_ROWS = 400;
// Rows that stay when messages that arrive at the end fill the window. Dropping a row moves all others, so many are
// dropped at once.
const FOLLOWED_ROWS = 300;

/** A page of a room's messages: the newest, or those around one. @param {Page} page */
export const timelineOf = (page) => ({ messages: page.messages, hasOlder: page.has_older, hasNewer: page.has_newer });

/** The seq of the last message here, 0 in an empty room. @param {Timeline} timeline */
export const lastSeq = (timeline) => timeline.messages.at(-1)?.seq ?? 0;

/** The seq of the first message here, 0 in an empty room. @param {Timeline} timeline */
export const firstSeq = (timeline) => timeline.messages[0]?.seq ?? 0;

/** Whether the message is here, or would be the next one. @param {Timeline} timeline @param {number} seq */
export function reaches(timeline, seq) {
  return (seq >= firstSeq(timeline) || !timeline.hasOlder) && (seq <= lastSeq(timeline) || !timeline.hasNewer);
}

/** The timeline with a page of earlier messages. @param {Timeline} timeline @param {Page} page */
export function withOlder(timeline, page) {
  const first = firstSeq(timeline);
  const all = [...page.messages.filter((message) => message.seq < first), ...timeline.messages];
  const messages = all.slice(0, WINDOW_ROWS);
  return { messages, hasOlder: page.has_older, hasNewer: timeline.hasNewer || messages.length < all.length };
}

/** The timeline with a page of later messages. @param {Timeline} timeline @param {Page} page */
export function withNewer(timeline, page) {
  const last = lastSeq(timeline);
  const messages = [...timeline.messages, ...page.messages.filter((message) => message.seq > last)];
  return trimmed({ messages, hasOlder: timeline.hasOlder, hasNewer: page.has_newer });
}

/**
 * The timeline with a message that was just sent. A message that is here already changes nothing. One that
 * would leave a gap is not added, and `isBehind` says that the page after the last message has to be fetched.
 * While older messages are read, the window stays as it is: the newer ones are loaded when the reader gets there.
 * @param {Timeline} timeline @param {Message} message @param {{isAtEnd: boolean}} reader
 */
export function withLive(timeline, message, { isAtEnd }) {
  const expected = lastSeq(timeline) + 1;
  if (timeline.hasNewer || message.seq < expected) return { timeline, isBehind: false };
  if (message.seq > expected) return { timeline, isBehind: true };
  if (!isAtEnd && timeline.messages.length >= WINDOW_ROWS) return { timeline: { ...timeline, hasNewer: true }, isBehind: false };
  return { timeline: trimmed({ ...timeline, messages: [...timeline.messages, message] }, FOLLOWED_ROWS), isBehind: false };
}

/**
 * The timeline with messages in a newer state: edited, deleted, reacted to. An older state than the one here
 * changes nothing, and messages that are not here are not added.
 * @param {Timeline} timeline @param {readonly Message[]} changes
 */
export function withChanged(timeline, changes) {
  const bySeq = new Map(changes.map((message) => [message.seq, message]));
  const messages = timeline.messages.map((known) => {
    const change = bySeq.get(known.seq);
    return withQuote(change !== undefined && change.rev > known.rev ? change : known, bySeq);
  });
  const hasChanged = messages.some((message, index) => message !== timeline.messages[index]);
  return hasChanged ? { ...timeline, messages } : timeline;
}

/**
 * The timeline with all changes that were missed, in any order.
 * @param {Timeline} timeline @param {readonly Message[]} changes
 * @returns {{timeline: Timeline, isBehind: boolean}} isBehind: there is a hole between the two
 */
export function withCaughtUp(timeline, changes) {
  const known = withChanged(timeline, changes);
  const last = lastSeq(known);
  const newer = changes.filter((message) => message.seq > last).sort((a, b) => a.seq - b.seq);
  if (known.hasNewer || newer.length === 0) return { timeline: known, isBehind: false };
  if (newer.some((message, index) => message.seq !== last + 1 + index)) return { timeline: known, isBehind: true };
  return { timeline: trimmed({ ...known, messages: [...known.messages, ...newer] }), isBehind: false };
}

/**
 * The message with its quote updated. The text of a deleted message is not quoted.
 * @param {Message} message @param {ReadonlyMap<number, Message>} changes by seq
 */
function withQuote(message, changes) {
  const quoted = message.reply_to && changes.get(message.reply_to.seq);
  if (!quoted) return message;
  const { seq, author, text, deleted } = quoted;
  return { ...message, reply_to: { seq, author, text, deleted } };
}

/**
 * A message from a publication, with `mine` in its reactions. A publication is the same for all readers: `reacted` names the user
 * and the emoji, and all other changes keep the reactions that were known.
 * @param {Message} message @param {Message | undefined} known the message as it was here
 * @param {{emoji?: string, user_id?: number, is_added?: boolean}} change @param {number} myId
 */
export function withOwnReactions(message, known, change, myId) {
  const wasMine = (/** @type {string} */ emoji) => known?.reactions.some((each) => each.mine && each.emoji === emoji) ?? false;
  const isMine = (/** @type {string} */ emoji) => (change.user_id === myId && change.emoji === emoji ? change.is_added === true : wasMine(emoji));
  return { ...message, reactions: message.reactions.map((each) => ({ ...each, mine: isMine(each.emoji) })) };
}

/**
 * The timeline without the oldest messages if there are more than WINDOW_ROWS.
 * @param {Timeline} timeline @param {number} [kept] the number of messages that are left
 */
export const trimmed = (timeline, kept = WINDOW_ROWS) =>
  timeline.messages.length <= WINDOW_ROWS ? timeline : { ...timeline, messages: timeline.messages.slice(-kept), hasOlder: true };

/**
 * The pinned messages of a room after one was pinned, unpinned or changed, the last pinned first.
 * @param {readonly Message[]} pins @param {Message} message @param {boolean} [isPinned] undefined: as before
 */
export function withPin(pins, message, isPinned) {
  if (isPinned === true) return [message, ...pins.filter(({ seq }) => seq !== message.seq)];
  if (isPinned === false || message.deleted) return pins.filter(({ seq }) => seq !== message.seq);
  return pins.map((known) => (known.seq === message.seq && message.rev > known.rev ? message : known));
}
