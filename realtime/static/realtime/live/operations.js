import { counted } from "./figures.js";

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
export const BAN_HOURS = [[0.25, "15 minutes"], [1, "1 hour"], [24, "1 day"], [168, "7 days"], [720, "30 days"], [8760, "1 year"]];
/** @type {Answers} */
export const NO_ANSWERS = { reason: "", reconnect: true, hours: 24, text: "", level: "info" };

/**
 * `fields` are asked for besides the reason; `isForAll` acts on a tenant that the path names, or on a node.
 * @type {Record<string, {label: string, question: (target: Target) => string, done: (count: number) => string,
 *   fields: (keyof Answers)[], isForAll?: boolean}>}
 */
export const OPERATIONS = {
  disconnect: {
    label: "Disconnect",
    question: (target) => `Disconnect ${target.label}?`,
    done: (count) => `${counted(count, "connection")} closed.`,
    fields: ["reconnect"],
  },
  ban: {
    label: "Ban",
    question: (target) => `Ban ${target.label}?`,
    done: (count) => `Banned. ${counted(count, "connection")} closed.`,
    fields: ["hours"],
  },
  unban: { label: "Lift", question: (target) => `Lift the ${target.label}?`, done: () => "The ban is lifted.", fields: [] },
  revoke: {
    label: "Sign out",
    question: (target) => `End all tokens and sessions of ${target.label}?`,
    done: () => "All tokens and sessions have ended.",
    fields: [],
  },
  unsubscribe: {
    label: "Unsubscribe",
    question: (target) => `End ${target.label}?`,
    done: (count) => `${counted(count, "subscription")} ended.`,
    fields: [],
  },
  announce: {
    label: "Announce",
    question: (target) => `Announce something to ${target.label}`,
    done: (count) => `Sent to ${counted(count, "connection")}.`,
    fields: ["text", "level"],
  },
  drain: {
    label: "Drain",
    question: (target) => `Drain ${target.label}?`,
    done: () => "The node closes its connections and takes no more.",
    fields: [],
    isForAll: true,
  },
  suspend: {
    label: "Suspend",
    question: (target) => `Suspend ${target.label}?`,
    done: () => "The tenant is suspended.",
    fields: [],
    isForAll: true,
  },
  resume: {
    label: "Resume",
    question: (target) => `Let ${target.label} go on?`,
    done: () => "The tenant goes on.",
    fields: [],
    isForAll: true,
  },
};

/** The consequences, in the words of the dialog. @type {Record<string, string>} */
export const CONSEQUENCES = {
  ban: "Open connections close; handshakes and sign-ins are refused until the ban ends.",
  revoke: "Open connections close, and everyone signed in with this account has to sign in again.",
  drain: "Its clients are told to come back, and find another node. It cannot be undone: restart the process.",
  suspend: "Its hosts answer 404 and its sockets close, on every node.",
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
  const count = answer.count ?? 0;
  const isMade = name === "ban" && "id" in answer;
  const words = count === 0 && !isMade ? "Nothing like that was found, so nothing was done." : OPERATIONS[name].done(count);
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
