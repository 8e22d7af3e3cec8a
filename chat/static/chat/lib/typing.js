import { _ } from "realtime/texts";

import { nameOf } from "./format.js";

/** @typedef {{id: number, name: string, untilMs: number}} Typer */

/** The time that a user counts as typing after an announcement. */
export const TYPING_SHOWN_MS = 6_000;
/** The shortest time between two announcements. */
export const TYPING_EVERY_MS = 3_000;
/** The same after a sent message. The server's own interval, within which it announces nothing. */
export const TYPING_AGAIN_MS = 1_000;

/** @param {readonly Typer[]} typers @param {{id: number, username: string, name?: string}} user @param {number} nowMs */
export const withTyper = (typers, user, nowMs) => [...withoutTyper(typers, user.id), { id: user.id, name: nameOf(user), untilMs: nowMs + TYPING_SHOWN_MS }];

/** @param {readonly Typer[]} typers @param {number | null} userId */
export const withoutTyper = (typers, userId) => typers.filter((typer) => typer.id !== userId);

/** @param {readonly Typer[]} typers @param {number} nowMs */
export const stillTyping = (typers, nowMs) => typers.filter((typer) => typer.untilMs > nowMs);

/** One line that says who is typing. @param {readonly Typer[]} typers */
export function typingLine(typers) {
  const [first, second] = typers.map((typer) => typer.name);
  if (typers.length === 0) return "";
  if (typers.length === 1) return _("{first} is typing…", { first });
  if (typers.length === 2) return _("{first} and {second} are typing…", { first, second });
  return _("Several people are typing…");
}
