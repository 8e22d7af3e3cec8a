import { count } from "../dashboard-format.js";

/** A list that was not renewed for this long is old: three of its intervals. */
export const OLD_MS = 15_000;

/**
 * The part of the cluster that a list covers, in words: "3 of 3 nodes, 2 s ago".
 * @param {{nodes_answered: number, nodes_total: number}} answer
 * @param {number} ageMs
 * @param {string[]} [late] ids of the nodes that did not answer
 */
export function scopeLine(answer, ageMs, late = []) {
  const names = late.length === 0 ? "" : `, late: ${late.join(", ")}`;
  return `${answer.nodes_answered} of ${answer.nodes_total} nodes, ${age(ageMs)}${names}`;
}

/** @param {number} ms */
export function age(ms) {
  return `${Math.max(Math.round(ms / 1000), 0)} s ago`;
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/**
 * The positions of topics as they were last seen, and the publications a second between the last two.
 * @typedef {Map<string, {epoch: string, offset: number, atMs: number, perS: number | null}>} Positions
 * @typedef {{tenant: string, topic: string, epoch: string, offset: number}} TopicPosition
 */

/** @param {TopicPosition} row */
export function topicKey(row) {
  return `${row.tenant} ${row.topic}`;
}

/**
 * The positions after a list was read. A topic that is new, or began a new epoch, has no rate yet.
 * @param {Positions} before
 * @param {TopicPosition[]} rows
 * @param {number} nowMs
 * @returns {Positions} of `rows` only, so that it does not grow
 */
export function nextPositions(before, rows, nowMs) {
  return new Map(rows.map((row) => [topicKey(row), { epoch: row.epoch, offset: row.offset, atMs: nowMs, perS: perS(before.get(topicKey(row)), row, nowMs) }]));
}

/**
 * @param {{epoch: string, offset: number, atMs: number} | undefined} last
 * @param {TopicPosition} row
 * @param {number} nowMs
 */
function perS(last, row, nowMs) {
  if (last === undefined || last.epoch !== row.epoch || nowMs <= last.atMs) return null;
  return Math.max(row.offset - last.offset, 0) / ((nowMs - last.atMs) / 1000);
}
