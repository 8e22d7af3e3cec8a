import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
/** @import {RoomStore} from "../types.js" */

// Pixels from the end within which the list follows new messages, and from an edge within which more is
// loaded.
const AT_END_PX = 48;
const LOAD_PX = 600;
const NEW_ROW_TOP_PX = 96;
// Sizes are fractions of pixels.
const ROUNDING_PX = 4;
const FLASH_MS = 2_000;

/**
 * @typedef {{isPlaced: boolean, anchor: {row: Element, top: number} | null, ownTop: number}} Position
 *   ownTop: where this module scrolled to last. Only the reader's own scrolling loads more.
 */

/**
 * Keeps the scroll position of the message list of one room: at the end while the reader follows it, otherwise on the
 * same message when others are loaded or arrive around it. The style sheet switches off the browser's scroll
 * anchoring, because not all browsers have it.
 * @param {RoomStore} room @param {readonly unknown[]} rows
 * @param {boolean} isLean whether blocks of rows far from the end are not laid out
 */
export function useScroll(room, rows, isLean) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const place = useRef(/** @type {Position} */ ({ isPlaced: false, anchor: null, ownTop: 0 }));
  const target = room.target.value;

  const onScroll = () => {
    const list = ref.current;
    // Browsers tell of scrolling with the next frame; the list may be gone by then.
    if (list === null || !place.current.isPlaced) return;
    look(list, room, place.current);
    if (Math.abs(list.scrollTop - place.current.ownTop) < 1) return;
    place.current.ownTop = NaN;
    if (list.scrollTop < LOAD_PX) room.loadOlder();
    if (distanceToEnd(list) < LOAD_PX) room.loadNewer();
  };

  const toEnd = async () => {
    await room.toEnd();
    ref.current?.scrollTo({ top: ref.current.scrollHeight });
  };

  useLayoutEffect(() => {
    const list = /** @type {HTMLElement} */ (ref.current);
    if (room.timeline.value === null) return void (place.current.isPlaced = false);
    if (place.current.isPlaced) keep(list, room, place.current);
    else open(list, room);
    place.current.isPlaced = true;
    showTarget(list, room);
    place.current.ownTop = list.scrollTop;
    look(list, room, place.current);
    // On a tall screen one page may not fill the list.
    if (list.scrollHeight <= list.clientHeight) room.loadOlder();
    if (distanceToEnd(list) < 1) room.loadNewer();
  }, [rows, target, isLean]);

  useEffect(() => {
    const list = /** @type {HTMLElement} */ (ref.current);
    const observer = new ResizeObserver(() => {
      if (!place.current.isPlaced) return;
      keep(list, room, place.current);
      place.current.ownTop = list.scrollTop;
    });
    observer.observe(list);
    observer.observe(/** @type {Element} */ (list.firstElementChild));
    return () => observer.disconnect();
  }, []);

  return { ref, onScroll, toEnd };
}

/** Scroll to the first unread message, or to the end. @param {HTMLElement} list @param {RoomStore} room */
function open(list, room) {
  // All of the first ones may be deleted: they have no line before them.
  const mark = list.querySelector(".new-row") ?? (room.newAfterSeq.value === null ? null : rowOf(room.newAfterSeq.value + 1, list));
  if (mark !== null) list.scrollTop += topOf(mark, list) - NEW_ROW_TOP_PX;
  else if (room.isAtEnd.value) list.scrollTop = list.scrollHeight;
}

/** @param {HTMLElement} list @param {RoomStore} room @param {Position} place */
function keep(list, room, place) {
  // Without an anchor the list was at its end, which newer messages may have moved on.
  if (room.isAtEnd.value && (place.anchor === null || !room.timeline.value?.hasNewer)) follow(list, room);
  else if (place.anchor === null) open(list, room);
  else if (place.anchor.row.isConnected) list.scrollTop += topOf(place.anchor.row, list) - place.anchor.top;
}

/** Scroll to the end, but not past messages that nobody saw, because many came at once or nobody was looking. @param {HTMLElement} list @param {RoomStore} room */
function follow(list, room) {
  list.scrollTop = list.scrollHeight;
  const { read_seq } = room.room.value;
  const unread = room.isKeptUnread ? null : rowOf(read_seq + 1, list);
  const hiddenPx = unread === null ? 0 : Math.min(NEW_ROW_TOP_PX, list.clientHeight / 4) - topOf(unread, list);
  if (hiddenPx <= 0) return;
  list.scrollTop -= hiddenPx;
  room.newAfterSeq.value = read_seq;
}

/**
 * Remember the scroll position and the visible messages.
 * @param {HTMLElement} list @param {RoomStore} room @param {Position} place
 */
function look(list, room, place) {
  room.isAtEnd.value = distanceToEnd(list) < AT_END_PX && !room.timeline.value?.hasNewer;
  if (room.isAtEnd.value) {
    // The end is the anchor. To look for a row would lay out blocks that are left out.
    place.anchor = null;
    room.visibleSeq.value = room.timeline.value?.messages.at(-1)?.seq ?? 0;
    return;
  }
  const rows = /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll("article"));
  // Not the dividers: they keep their keys when rows come before them.
  const first = rows[firstIndex(rows, (row) => topOf(row, list) + row.clientHeight > 0)];
  place.anchor = first ? { row: first, top: topOf(first, list) } : null;
  const height = list.clientHeight + ROUNDING_PX;
  const last = rows[firstIndex(rows, (row) => topOf(row, list) + row.clientHeight > height) - 1];
  room.visibleSeq.value = Number(last?.dataset.seq ?? 0);
}

/** Show the message that was asked for, once. @param {HTMLElement} list @param {RoomStore} room */
function showTarget(list, room) {
  const row = room.target.value === null ? null : rowOf(room.target.value, list);
  if (row === null) return;
  room.target.value = null;
  list.scrollTop += topOf(row, list) - (list.clientHeight - row.clientHeight) / 2;
  row.focus({ preventScroll: true });
  row.dataset.flash = "";
  setTimeout(() => delete row.dataset.flash, FLASH_MS);
}

/**
 * The index of the first row for which `isSo` is true, or the number of rows. It must be true for all later rows.
 * @param {ArrayLike<HTMLElement>} rows @param {(row: HTMLElement) => boolean} isSo
 */
function firstIndex(rows, isSo) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isSo(rows[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** @param {number} seq @param {HTMLElement} list @returns {HTMLElement | null} */
const rowOf = (seq, list) => list.querySelector(`article[data-seq="${seq}"]`);

/** @param {Element} row @param {HTMLElement} list */
const topOf = (row, list) => row.getBoundingClientRect().top - list.getBoundingClientRect().top;

/** @param {HTMLElement} list */
const distanceToEnd = (list) => list.scrollHeight - list.clientHeight - list.scrollTop;
