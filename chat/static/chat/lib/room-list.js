/**
 * @typedef {{id: number, name: string, topic: string, is_public: boolean, is_member: boolean, member_count: number,
 *   last_seq: number, last_rev: number, read_seq: number, unread: number, role: string | null}} Room
 */

// The server stops counting there too.
export const UNREAD_MAX = 1_000;

/**
 * A room after a message in it.
 * @param {Room} room
 * @param {{seq: number, author: {id: number}}} message
 * @param {number} myId
 * @returns {Room}
 */
export function roomAfterMessage(room, message, myId) {
  if (message.seq <= room.last_seq) return room;
  const isUnread = message.author.id !== myId && message.seq > room.read_seq;
  return { ...room, last_seq: message.seq, unread: Math.min(room.unread + Number(isUnread), UNREAD_MAX) };
}

/**
 * A room after its user has read up to `seq`, on this screen or another.
 * @param {Room} room
 * @param {number} seq
 * @returns {Room}
 */
export function roomAfterRead(room, seq) {
  if (seq < room.read_seq) return room;
  const unread = seq >= room.last_seq ? 0 : Math.min(room.unread, room.last_seq - seq);
  return { ...room, read_seq: seq, unread };
}

/**
 * A room after a change that all see: its name, its topic line, who may join. Messages are counted as they come,
 * so the numbers of the change are left out.
 * @param {Room} room
 * @param {Partial<Room>} change
 * @returns {Room}
 */
export function roomAfterChange(room, change) {
  const { last_seq, last_rev } = room;
  return { ...room, ...change, last_seq, last_rev };
}

/**
 * Rooms in the order of the list, by name.
 * @param {readonly Room[]} rooms
 */
export function sortedRooms(rooms) {
  return [...rooms].sort((a, b) => a.name.localeCompare(b.name) || a.id - b.id);
}

/**
 * The room `step` places after the current one, wrapping around.
 * @param {readonly Room[]} rooms in the order of the list
 * @param {number | null} currentId
 * @param {number} step
 */
export function neighbour(rooms, currentId, step) {
  if (rooms.length === 0) return null;
  const index = rooms.findIndex((room) => room.id === currentId);
  return rooms[(Math.max(index, 0) + step + rooms.length) % rooms.length];
}

/**
 * The page's title.
 * @param {{name: string} | null} room
 * @param {string} tenant
 * @param {number} unread
 */
export function titleOf(room, tenant, unread) {
  const place = [room?.name, tenant].filter(Boolean).join(" · ");
  return unread > 0 ? `(${unread}) ${place}` : place;
}

/**
 * The room that an address names.
 * @param {string} hash such as `#room-7`
 * @returns {number | null}
 */
export function roomIdOf(hash) {
  return Number(hash.match(/^#room-([1-9]\d{0,14})$/)?.[1]) || null;
}

/** Rooms shown at once in the switcher. */
const FOUND_MAX = 50;

/**
 * Rooms whose names have a text in them: own rooms first, and names that begin with it before others.
 * @param {readonly Room[]} rooms in the order of the list
 * @param {string} query
 * @returns {Room[]}
 */
export function roomsFound(rooms, query) {
  const wanted = query.trim().toLocaleLowerCase();
  const place = (/** @type {Room} */ room) => room.name.toLocaleLowerCase().indexOf(wanted);
  const rank = (/** @type {Room} */ room) => Number(!room.is_member) * 2 + Number(place(room) > 0);
  return rooms
    .filter((room) => place(room) >= 0)
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, FOUND_MAX);
}
