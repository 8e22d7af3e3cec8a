import { count } from "../dashboard-format.js";
import { _, ngettext } from "../texts.js";

/**
 * The operations that an operator may order from the page, as plain values: question, request and outcome.
 *
 * @typedef {{kind: "connection" | "user" | "address" | "topic" | "everyone" | "subscription" | "node" | "tenant" | "ban",
 *   id: string | number, label: string, tenant: string | null, user?: {id: string | number, username: string}}} Target
 *   `tenant` is the tenant that the operation acts on; null: all that the operator may act on.
 *   A subscription's `id` is its topic.
 * @typedef {{reason: string, reconnect: boolean, hours: number, text: string, level: string}} Answers
 * @typedef {{name: string, target: Target}} Order
 * @typedef {{operator_orders: string[]}} May
 */

export const REASON_MAX_CHARS = 200;
export const TEXT_MAX_CHARS = 1000;
export const LEVELS = ["info", "success", "warning", "error", "critical"];
/** Hours of a ban, and their names. */
export const BAN_HOURS = [
  [0.25, _("15 minutes")], [1, _("1 hour")], [24, _("1 day")], [168, _("7 days")], [720, _("30 days")], [8760, _("1 year")],
];
/** @type {Answers} */
export const NO_ANSWERS = { reason: "", reconnect: true, hours: 24, text: "", level: "info" };

/**
 * `fields` are asked for besides the reason; `isForAll` acts on a tenant that the path names, or on a node.
 * @type {Record<string, {label: string, question: (target: Target) => string, done: (number: number) => string,
 *   fields: (keyof Answers)[], isForAll?: boolean}>}
 */
export const OPERATIONS = {
  disconnect: {
    label: _("Disconnect"),
    question: (target) => _("Disconnect {what}?", { what: target.label }),
    done: (number) => ngettext("{count} connection closed.", "{count} connections closed.", number, count(number)),
    fields: ["reconnect"],
  },
  ban: {
    label: _("Ban"),
    question: (target) => _("Ban {what}?", { what: target.label }),
    done: (number) => ngettext("Banned. {count} connection closed.", "Banned. {count} connections closed.", number, count(number)),
    fields: ["hours"],
  },
  unban: { label: _("Lift"), question: (target) => _("Lift the {what}?", { what: target.label }), done: () => _("The ban is lifted."), fields: [] },
  revoke: {
    label: _("Sign out"),
    question: (target) => _("End all tokens and sessions of {what}?", { what: target.label }),
    done: () => _("All tokens and sessions have ended."),
    fields: [],
  },
  unsubscribe: {
    label: _("Unsubscribe"),
    question: (target) => _("End {what}?", { what: target.label }),
    done: (number) => ngettext("{count} subscription ended.", "{count} subscriptions ended.", number, count(number)),
    fields: [],
  },
  announce: {
    label: _("Announce"),
    question: (target) => _("Announce something to {what}", { what: target.label }),
    done: (number) => ngettext("Sent to {count} connection.", "Sent to {count} connections.", number, count(number)),
    fields: ["text", "level"],
  },
  drain: {
    label: _("Drain"),
    question: (target) => _("Drain {what}?", { what: target.label }),
    done: () => _("The node closes its connections and takes no more."),
    fields: [],
    isForAll: true,
  },
  suspend: {
    label: _("Suspend"),
    question: (target) => _("Suspend {what}?", { what: target.label }),
    done: () => _("The tenant is suspended."),
    fields: [],
    isForAll: true,
  },
  resume: {
    label: _("Resume"),
    question: (target) => _("Let {what} go on?", { what: target.label }),
    done: () => _("The tenant goes on."),
    fields: [],
    isForAll: true,
  },
};

/** The consequences, in the words of the dialog. @type {Record<string, string>} */
export const CONSEQUENCES = {
  ban: _("Open connections close; handshakes and sign-ins are refused until the ban ends."),
  revoke: _("Open connections close, and everyone signed in with this account has to sign in again."),
  drain: _("Its clients are told to come back, and find another node. It cannot be undone: restart the process."),
  suspend: _("Its hosts answer 404 and its sockets close, on every node."),
};

/**
 * Whether there is a button for an operation.
 * @param {string} name
 * @param {May} may
 */
export function isOffered(name, may) {
  return may.operator_orders.includes(name);
}

/**
 * @param {Order} order
 * @returns {{method: "POST" | "DELETE", path: string}}
 */
export function addressOf({ name, target }) {
  if (name === "unban") return { method: "DELETE", path: `ban/${encodeURIComponent(target.id)}/` };
  if (target.kind === "tenant" && OPERATIONS[name].isForAll) {
    return { method: "POST", path: `tenants/${encodeURIComponent(target.id)}/${name}/` };
  }
  return { method: "POST", path: `${name}/` };
}

/**
 * @param {Order} order
 * @param {Answers} answers
 * @param {number} nowMs for the end of a ban
 * @returns {Record<string, unknown>}
 */
export function bodyOf({ name, target }, answers, nowMs) {
  const fields = OPERATIONS[name].fields;
  return {
    ...(name === "announce" ? {} : operandOf(target)),
    ...(target.tenant === null || OPERATIONS[name].isForAll || name === "unban" ? {} : { tenant: target.tenant }),
    ...(fields.includes("reconnect") ? { reconnect: answers.reconnect } : {}),
    ...(fields.includes("hours") ? { until: new Date(nowMs + answers.hours * 3_600_000).toISOString() } : {}),
    ...(fields.includes("text") ? { text: answers.text, level: answers.level } : {}),
    ...(answers.reason === "" ? {} : { reason: answers.reason }),
  };
}

/**
 * The filter that finds the connections which an operation closes; null if it closes none by itself.
 * @param {Order} order
 * @returns {Record<string, string> | null}
 */
export function closesOf({ name, target }) {
  if (name !== "disconnect" && name !== "ban" && name !== "revoke") return null;
  const filter = { user: {}, address: {}, topic: {}, everyone: {} };
  if (!(target.kind in filter)) return null;
  return {
    ...(target.kind === "everyone" ? {} : { [target.kind]: String(target.id) }),
    ...(target.tenant === null ? {} : { tenant: target.tenant }),
  };
}

/**
 * The outcome, in words.
 * @param {Order} order
 * @param {{count?: number}} answer
 */
export function outcomeOf({ name, target }, answer) {
  const number = answer.count ?? 0;
  const isMade = name === "ban" && "id" in answer;
  const words = number === 0 && !isMade ? _("Nothing like that was found, so nothing was done.") : OPERATIONS[name].done(number);
  return `${OPERATIONS[name].label}, ${target.label}: ${words}`;
}

/** @param {Target} target */
function operandOf(target) {
  switch (target.kind) {
    case "connection": return { connection_id: target.id };
    case "user": return { user_id: target.id };
    case "address": return { address: target.id };
    case "topic": return { topic: target.id };
    case "everyone": return { everyone: true };
    case "subscription": return { topic: target.id, user_id: target.user?.id };
    case "node": return { node: target.id };
    default: return {};
  }
}
