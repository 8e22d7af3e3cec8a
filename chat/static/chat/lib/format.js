/** Numbers and times in the reader's language and time zone. */
import { _ } from "realtime/texts";

const DAY_MS = 86_400_000;
export const HUES = 8;
const UNITS = [_("bytes"), "KB", "MB", "GB"];
const PICTURE_MAX = { width: 360, height: 260 };

export const timeText = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" }).format;
export const fullTimeText = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" }).format;
const dayOfYear = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" }).format;
const dayAndYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" }).format;

/** @param {Date} at @param {Date} now */
export function dayText(at, now) {
  const startOf = (/** @type {Date} */ day) => new Date(day).setHours(0, 0, 0, 0);
  const days = Math.round((startOf(now) - startOf(at)) / DAY_MS);
  if (days === 0) return _("Today");
  if (days === 1) return _("Yesterday");
  return at.getFullYear() === now.getFullYear() ? dayOfYear(at) : dayAndYear(at);
}

/** The name to show for a user. @param {{username: string | null, name?: string}} user */
export const nameOf = ({ username, name }) => name || username || _("former member");

/** @param {string} name */
export const initialOf = (name) => ([...name][0] ?? "?").toUpperCase();

/** The colour of a user, always the same one of the style's colours. @param {number | null} userId */
export const hueOf = (userId) => ((userId ?? 0) * 3) % HUES;

/** @param {number} bytes */
export function sizeText(bytes) {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** power;
  return `${amount < 10 && power > 0 ? Number(amount.toFixed(1)) : Math.round(amount)} ${UNITS[power]}`;
}

/** The size at which a picture is shown, known before it is loaded. @param {{width: number, height: number}} picture */
export function shownSize({ width, height }) {
  const scale = Math.min(1, PICTURE_MAX.width / width, PICTURE_MAX.height / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** A message in one line: its text, or the names of its files. @param {{text: string, files?: readonly {name: string}[]}} message */
export const summaryOf = ({ text, files = [] }) => text || files.map(({ name }) => name).join(", ") || _("A file");
