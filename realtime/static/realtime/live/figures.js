import { _ } from "../texts.js";

/** A list that was not renewed for this long is old: three of its intervals. */
export const OLD_MS = 15_000;

/**
 * The part of the cluster that a list covers, in words: "3 of 3 nodes, 2 s ago".
 * @param {{nodes_answered: number, nodes_total: number}} answer
 * @param {number} ageMs
 * @param {string[]} [late] ids of the nodes that did not answer
 */
export function scopeLine(answer, ageMs, late = []) {
  const scope = _("{answered} of {count} nodes, {age}", { answered: answer.nodes_answered, count: answer.nodes_total, age: age(ageMs) });
  return late.length === 0 ? scope : _("{scope}, late: {nodes}", { scope, nodes: late.join(", ") });
}

/** @param {number} ms */
export function age(ms) {
  return _("{seconds} s ago", { seconds: Math.max(Math.round(ms / 1000), 0) });
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
