/** @import {Message, Room} from "../types.js" */

/** @typedef {(typeof SECTIONS)[number]} SectionName */

const SECTIONS = /** @type {const} */ (["unread", "favourites", "rooms", "people"]);

// The server stops counting there too.
export const UNREAD_MAX = 1_000;

/**
 * A room after a message in it. The reader's own message, sent from any screen, marks all before it as read.
 * @param {Room} room @param {Message} message @param {number} myId
 */
export function roomAfterMessage(room, message, myId) {
  if (message.seq <= room.last_seq) return room;
  const after = { ...room, last_seq: message.seq, last_message_at: message.sent_at };
  if (message.author.id === myId) return roomAfterRead(after, message.seq);
  const isUnread = message.seq > room.read_seq;
  const unread = Math.min(room.unread + Number(isUnread), UNREAD_MAX);
  const mentions = room.mentions + Number(isUnread && (message.mentions?.includes(myId) ?? false));
  return { ...after, unread, mentions };
}

/** A room after its user has read up to `seq`, on this screen or another. @param {Room} room @param {number} seq */
export function roomAfterRead(room, seq) {
  if (seq < room.read_seq) return room;
  const unread = seq >= room.last_seq ? 0 : Math.min(room.unread, room.last_seq - seq);
  return { ...room, read_seq: seq, unread, mentions: Math.min(room.mentions, unread) };
}

/**
 * A room after its user has marked messages as unread.
 * @param {Room} room @param {number} readSeq the last message before them
 * @param {readonly Message[]} messages those that are known
 * @param {number} myId
 */
export function roomUnreadFrom(room, readSeq, messages, myId) {
  const after = messages.filter(({ seq }) => seq > readSeq);
  const unread = Math.max(0, room.last_seq - readSeq - after.filter(({ author, deleted }) => author.id === myId || deleted).length);
  const mentions = Math.max(room.mentions, after.filter((message) => message.mentions.includes(myId)).length);
  return { ...room, read_seq: readSeq, unread: Math.min(unread, UNREAD_MAX), mentions };
}

/**
 * Return a room after a change that is the same for all: its name, topic line or kind. Messages are counted as they come,
 * so the numbers of the change are left out.
 * @param {Room} room @param {Partial<Room>} change
 */
export function roomAfterChange(room, change) {
  const { last_seq, last_rev, last_message_at } = room;
  return { ...room, ...change, last_seq, last_rev, last_message_at };
}

/**
 * How many unread messages the reader of a room wants to be told of, and whether they are addressed to the reader:
 * mentions, and everything in a direct room.
 * @param {Pick<Room, "level" | "mentions" | "unread" | "kind">} room
 */
export function attentionOf({ level, mentions, unread, kind }) {
  if (level === "nothing") return { count: 0, isPersonal: false };
  if (level === "all" && kind === "direct") return { count: unread, isPersonal: unread > 0 };
  if (mentions > 0) return { count: mentions, isPersonal: true };
  return { count: level === "all" ? unread : 0, isPersonal: false };
}

/**
 * Whether the reader of a room wants to be notified of a message of somebody else.
 * @param {Pick<Room, "level">} room @param {{mentions?: number[]}} message @param {number} myId
 */
export function isWorthTelling({ level }, { mentions = [] }, myId) {
  return level === "all" || (level === "mentions" && mentions.includes(myId));
}

/** The sum of all rooms, for the title and the icon. @param {readonly Room[]} rooms */
export function attentionOfAll(rooms) {
  const each = rooms.map(attentionOf);
  return { count: each.reduce((sum, { count }) => sum + count, 0), isPersonal: each.some(({ isPersonal }) => isPersonal) };
}

/** Rooms by their newest message, the latest first; those without messages last, by name. @param {readonly Room[]} rooms */
export function sortedRooms(rooms) {
  const time = (/** @type {Room} */ room) => room.last_message_at ?? "";
  return [...rooms].sort((a, b) => (time(a) < time(b) ? 1 : time(a) > time(b) ? -1 : a.name.localeCompare(b.name) || a.id - b.id));
}

/**
 * The sections of the sidebar. Those where new rooms are made are there without rooms, too.
 * @param {readonly Room[]} rooms the user's rooms, sorted
 * @param {(room: Room) => boolean} isKept an unread room that was opened stays in its place until the reader leaves it
 */
export function sectionsOf(rooms, isKept = () => false) {
  const found = Object.groupBy(rooms, (room) => {
    if (attentionOf(room).count > 0 || isKept(room)) return "unread";
    return room.is_favourite ? "favourites" : room.kind === "direct" ? "people" : "rooms";
  });
  return SECTIONS.map((name) => ({ name, rooms: found[name] ?? [] })).filter(({ name }) => found[name] || name === "rooms" || name === "people");
}

/**
 * The room `step` places after the current one, wrapping around.
 * @param {readonly Room[]} rooms in the order of the list
 * @param {number | null} currentId @param {number} step
 */
export function neighbour(rooms, currentId, step) {
  if (rooms.length === 0) return null;
  const index = rooms.findIndex((room) => room.id === currentId);
  return rooms[(Math.max(index, 0) + step + rooms.length) % rooms.length];
}

/**
 * The page's title.
 * @param {{name: string} | null} room @param {string} tenant
 * @param {number} unread unread messages that the reader wants to be told of
 */
export function titleOf(room, tenant, unread) {
  const place = [room?.name, tenant].filter(Boolean).join(" · ");
  return unread > 0 ? `(${unread}) ${place}` : place;
}

/** The room that an address names, and the message in it. @param {string} hash such as `#room-7` or `#room-7-42` */
export function placeOf(hash) {
  const found = hash.match(/^#room-([1-9]\d{0,14})(?:-([1-9]\d{0,14}))?$/);
  return found && { id: Number(found[1]), seq: Number(found[2]) || null };
}
