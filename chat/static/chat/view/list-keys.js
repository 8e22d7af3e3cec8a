import { useEvents } from "./events.js";

// Frames in which the tools of a message are drawn at the latest. A deleted message has none.
const DRAWN_FRAMES = 5;

/** The keys in a list of messages. It draws nothing. @param {{list: {current: HTMLElement | null}, onDone: () => void}} props */
export function ListKeys({ list, onDone }) {
  useEvents(() => list.current, { keydown: (event) => moveInList(event, onDone) });
  return null;
}

/**
 * Arrows go from message to message, Enter goes to the actions of one, Escape leaves the list.
 * @param {KeyboardEvent} event @param {() => void} onDone
 */
function moveInList(event, onDone) {
  const list = /** @type {HTMLElement} */ (event.currentTarget);
  const at = /** @type {HTMLElement} */ (event.target);
  const next = nextInList(event.key, at, list);
  if (event.key === "Escape" && at !== list) onDone();
  else if (event.key === "Enter" && at.matches("article")) focusTools(at);
  else if (next) next.focus();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Focus the first tool of a message when it is drawn, or else its first button or link. @param {HTMLElement} row */
async function focusTools(row) {
  const tool = () => /** @type {HTMLElement | null} */ (row.querySelector(".message-tools button"));
  for (let frames = 0; frames < DRAWN_FRAMES && tool() === null; frames += 1) await new Promise(requestAnimationFrame);
  const other = /** @type {HTMLElement | null} */ (row.querySelector("button, a"));
  (tool() ?? other)?.focus();
}

/** @param {string} key @param {HTMLElement} at what has the focus @param {HTMLElement} list */
function nextInList(key, at, list) {
  const row = at.closest("article");
  const rows = [...list.querySelectorAll("article")];
  if (at.matches(".message-tools button") && (key === "ArrowLeft" || key === "ArrowRight")) {
    return /** @type {HTMLElement | null} */ (key === "ArrowLeft" ? at.previousElementSibling : at.nextElementSibling);
  }
  if (key === "Home" || key === "End") return row && (rows.at(key === "Home" ? 0 : -1) ?? null);
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  if (row === null) return key === "ArrowUp" ? lastVisible(rows, list) : null;
  return rows[rows.indexOf(row) + (key === "ArrowUp" ? -1 : 1)] ?? null;
}

/** @param {HTMLElement[]} rows @param {HTMLElement} list */
function lastVisible(rows, list) {
  const bottom = list.getBoundingClientRect().bottom;
  return rows.findLast((row) => row.getBoundingClientRect().top < bottom) ?? null;
}
