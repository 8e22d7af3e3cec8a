/**
 * A text in parts, where `#name` of a known room is a part of its own. The longest name counts.
 * @param {string} text @param {readonly {id: number, name: string}[]} rooms
 */
export function roomParts(text, rooms) {
  const parts = [];
  let end = 0;
  for (const { index } of text.matchAll(/(?<![\p{L}\p{N}_&/#])#/gu)) {
    if (index < end) continue;
    const room = roomAt(text, index + 1, rooms);
    if (room === null) continue;
    if (index > end) parts.push({ text: text.slice(end, index), roomId: null });
    end = index + 1 + room.name.length;
    parts.push({ text: text.slice(index, end), roomId: room.id });
  }
  if (end < text.length) parts.push({ text: text.slice(end), roomId: null });
  return parts;
}

/** @param {string} text @param {number} at @param {readonly {id: number, name: string}[]} rooms */
function roomAt(text, at, rooms) {
  const ends = (/** @type {string} */ name) => !/^[\p{L}\p{N}_]/u.test(text.slice(at + name.length));
  const here = rooms.filter(({ name }) => text.startsWith(name, at) && ends(name));
  return here.sort((a, b) => b.name.length - a.name.length)[0] ?? null;
}
