import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

// Pixels from the end within which the list follows new messages, and from an edge within which more is
// loaded.
const AT_END_PX = 48;
const LOAD_PX = 600;
const NEW_ROW_TOP_PX = 96;

/**
 * @typedef {{room: import("../state/room-store.js").RoomStore | null, isPlaced: boolean, anchor: {row: Element, top: number} | null}} Place
 */

/**
 * Keeps the scroll position of a message list: at the end while the reader follows it, otherwise on the same
 * row when messages are loaded or arrive around it. The style sheet switches off the browser's scroll
 * anchoring, because not all browsers have it.
 * @param {import("../state/room-store.js").RoomStore} room
 * @param {readonly unknown[]} rows
 */
export function useScroll(room, rows) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const place = useRef(/** @type {Place} */ ({ room: null, isPlaced: false, anchor: null }));

  const onScroll = () => {
    const list = /** @type {HTMLElement} */ (ref.current);
    if (!place.current.isPlaced) return;
    look(list, room, place.current);
    if (list.scrollTop < LOAD_PX) room.loadOlder();
    if (distanceToEnd(list) < LOAD_PX) room.loadNewer();
  };

  const toEnd = async () => {
    if (room.timeline.value?.hasNewer) await room.jumpToEnd();
    room.isAtEnd.value = true;
    ref.current?.scrollTo({ top: ref.current.scrollHeight });
  };

  useLayoutEffect(() => {
    const list = /** @type {HTMLElement} */ (ref.current);
    if (place.current.room !== room) place.current = { room, isPlaced: false, anchor: null };
    if (room.timeline.value === null) return;
    if (place.current.isPlaced) keep(list, room, place.current);
    else open(list);
    place.current.isPlaced = true;
    look(list, room, place.current);
    // On a tall screen one page may not fill the list.
    if (list.scrollTop < LOAD_PX) room.loadOlder();
  }, [room, rows]);

  useEffect(() => {
    const list = /** @type {HTMLElement} */ (ref.current);
    const observer = new ResizeObserver(() => place.current.isPlaced && keep(list, room, place.current));
    observer.observe(list);
    return () => observer.disconnect();
  }, [room]);

  return { ref, onScroll, toEnd };
}

/** Scroll to the first unread message, or to the end. @param {HTMLElement} list */
function open(list) {
  const mark = list.querySelector(".new-row");
  if (mark === null) list.scrollTop = list.scrollHeight;
  else list.scrollTop += mark.getBoundingClientRect().top - list.getBoundingClientRect().top - NEW_ROW_TOP_PX;
}

/**
 * @param {HTMLElement} list
 * @param {import("../state/room-store.js").RoomStore} room
 * @param {Place} place
 */
function keep(list, room, place) {
  if (room.isAtEnd.value) list.scrollTop = list.scrollHeight;
  else if (place.anchor?.row.isConnected) list.scrollTop += topOf(place.anchor.row, list) - place.anchor.top;
}

/**
 * Remember the scroll position.
 * @param {HTMLElement} list
 * @param {import("../state/room-store.js").RoomStore} room
 * @param {Place} place
 */
function look(list, room, place) {
  room.isAtEnd.value = distanceToEnd(list) < AT_END_PX && !room.timeline.value?.hasNewer;
  const row = firstVisibleRow(list);
  place.anchor = row && { row, top: topOf(row, list) };
}

/** @param {HTMLElement} list */
function firstVisibleRow(list) {
  const rows = list.querySelectorAll("[data-row]");
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (topOf(rows[middle], list) + rows[middle].clientHeight <= 0) low = middle + 1;
    else high = middle;
  }
  return rows[low] ?? null;
}

/**
 * @param {Element} row
 * @param {HTMLElement} list
 */
function topOf(row, list) {
  return row.getBoundingClientRect().top - list.getBoundingClientRect().top;
}

/** @param {HTMLElement} list */
function distanceToEnd(list) {
  return list.scrollHeight - list.clientHeight - list.scrollTop;
}
