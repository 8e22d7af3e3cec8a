import { _ } from "../texts.js";

/** The states of a cell: the class of its look, and its name. @type {Record<string, [string, string]>} */
export const STATES = {
  o: ["good", _("good")],
  b: ["busy", _("busy")],
  d: ["draining", _("draining")],
  x: ["away", _("broker away")],
  "-": ["absent", _("not there")],
  ".": ["unknown", _("no sample")],
};

/** The strip in words, from the node's first cell on. @param {string} cells */
export function summaryOf(cells) {
  const known = [...cells].filter((state) => state !== "." && state !== "-");
  if (known.length === 0) return _("not there");
  const parts = ["o", "b", "d", "x"].map((state) => [STATES[state][1], Math.round((known.filter((each) => each === state).length / known.length) * 100)]);
  const words = parts.filter(([, part]) => Number(part) > 0).map(([name, part]) => `${part} % ${name}`).join(", ");
  return cells.at(-1) === "-" ? _("{states}; ended", { states: words }) : words;
}

/** The state of a node, in a word. @param {any} row of the list @param {any} figures of the last push @returns {[string, string]} its look and its name */
export function stateOf(row, figures) {
  if (!row.answered) return ["away", _("late")];
  if (row.draining) return ["draining", _("draining")];
  return figures?.broker_up === 0 ? ["away", _("broker away")] : ["good", _("serving")];
}

/** The names of the limits that a node reports. @type {Record<string, string>} */
export const LIMITS = {
  connections: _("Open connections"),
  outboxes_bytes: _("Bytes that wait for clients"),
  database_waiting: _("Database work that waits"),
};
