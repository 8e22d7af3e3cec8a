/**
 * The messages of a room that are on the page: a part of its history, without gaps.
 *
 * @typedef {{id: number, room_id: number, seq: number, author: {id: number, username: string}, text: string, sent_at: string, client_msg_id: string}} Message
 * @typedef {{messages: readonly Message[], hasOlder: boolean, hasNewer: boolean}} Timeline
 * @typedef {{messages: Message[], has_more: boolean}} Page
 */

/**
 * Messages kept on the page. Beyond it the far end is dropped, and loaded again when the reader scrolls to
 * it.
 */
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
 * The timeline with a page of earlier messages.
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
 * The timeline with a page of later messages.
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
 * The timeline with a message that was just sent. A message that is here already changes nothing. One that
 * would leave a gap is not added, and `isBehind` says that the page after the last message has to be fetched.
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
 * The timeline without the oldest messages beyond the limit.
 * @param {Timeline} timeline
 * @returns {Timeline}
 */
export function trimmed(timeline) {
  if (timeline.messages.length <= WINDOW_ROWS) return timeline;
  return { ...timeline, messages: timeline.messages.slice(-WINDOW_ROWS), hasOlder: true };
}
