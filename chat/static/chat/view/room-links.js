import { roomParts } from "../lib/room-names.js";

/**
 * Make links of the names of rooms in the elements of a text, but not in code and links.
 * @param {Element} elements @param {readonly {id: number, name: string}[]} rooms
 */
export function linkRooms(elements, rooms) {
  const walker = document.createTreeWalker(elements, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  for (const text of texts) {
    if (!text.data.includes("#") || text.parentElement?.closest("a, code, button")) continue;
    text.replaceWith(...roomParts(text.data, rooms).map(({ text: part, roomId }) => (roomId === null ? part : linkTo(part, roomId))));
  }
}

/** @param {string} text @param {number} roomId */
function linkTo(text, roomId) {
  const link = document.createElement("a");
  link.href = `#room-${roomId}`;
  link.textContent = text;
  return link;
}
