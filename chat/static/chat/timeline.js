/**
 * The messages of a room that are on the page: a window on its whole history, without holes.
 *
 * @typedef {{id: number, room_id: number, seq: number, author: {id: number, username: string}, text: string, sent_at: string, client_msg_id: string}} Message
 * @typedef {{messages: readonly Message[], hasOlder: boolean, hasNewer: boolean}} Timeline
 * @typedef {{messages: Message[], has_more: boolean}} Page
 */

/** Rows kept on the page; beyond it the far side is dropped and loaded again when scrolled to. */
export const WINDOW_ROWS = 400;

/**
 * The newest messages of a room.
 * @param {Page} page
 * @returns {Timeline}
 */
export function newest(page) {
  return { messages: page.messages, hasOlder: page.has_more, hasNewer: false };
}

/** The seq of the last message here, 0 in an empty room. @param {Timeline} timeline */
export function lastSeq(timeline) {
  return timeline.messages.at(-1)?.seq ?? 0;
}

/** The seq of the first message here, 0 in an empty room. @param {Timeline} timeline */
export function firstSeq(timeline) {
  return timeline.messages[0]?.seq ?? 0;
}

/**
 * With a page of what came before.
 * @param {Timeline} timeline
 * @param {Page} page
 * @returns {Timeline}
 */
export function withOlder(timeline, page) {
  const first = firstSeq(timeline);
  const all = [...page.messages.filter((message) => message.seq < first), ...timeline.messages];
  const messages = all.slice(0, WINDOW_ROWS);
  return { messages, hasOlder: page.has_more, hasNewer: timeline.hasNewer || messages.length < all.length };
}

/**
 * With a page of what came after.
 * @param {Timeline} timeline
 * @param {Page} page
 * @returns {Timeline}
 */
export function withNewer(timeline, page) {
  const last = lastSeq(timeline);
  const messages = [...timeline.messages, ...page.messages.filter((message) => message.seq > last)];
  return trimmed({ messages, hasOlder: timeline.hasOlder, hasNewer: page.has_more });
}

/**
 * With a message that has just been sent by somebody. One that is here already changes nothing; one that would leave a
 * hole does not either, and `isBehind` says that the page after the last message has to be fetched.
 * @param {Timeline} timeline
 * @param {Message} message
 * @returns {{timeline: Timeline, isBehind: boolean}}
 */
export function withLive(timeline, message) {
  const expected = lastSeq(timeline) + 1;
  if (timeline.hasNewer || message.seq < expected) return { timeline, isBehind: false };
  if (message.seq > expected) return { timeline, isBehind: true };
  return { timeline: { ...timeline, messages: [...timeline.messages, message] }, isBehind: false };
}

/**
 * Without the oldest messages beyond the window.
 * @param {Timeline} timeline
 * @returns {Timeline}
 */
export function trimmed(timeline) {
  if (timeline.messages.length <= WINDOW_ROWS) return timeline;
  return { ...timeline, messages: timeline.messages.slice(-WINDOW_ROWS), hasOlder: true };
}
