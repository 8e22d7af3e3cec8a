/**
 * Messages on their way: shown at once, sent in order, kept until the server has confirmed them. All functions are
 * pure; an outbox is an array, oldest first.
 *
 * @typedef {{client_msg_id: string, room_id: number, text: string, created_at: string, state: "waiting" | "sending" | "failed", error: string}} Entry
 */

/**
 * @param {readonly Entry[]} outbox
 * @param {{client_msg_id: string, room_id: number, text: string, created_at: string}} message
 * @returns {Entry[]}
 */
export function withMessage(outbox, message) {
  return [...outbox, { ...message, state: "waiting", error: "" }];
}

/**
 * @param {readonly Entry[]} outbox
 * @param {string} clientMsgId
 */
export function without(outbox, clientMsgId) {
  return outbox.filter((entry) => entry.client_msg_id !== clientMsgId);
}

/**
 * @param {readonly Entry[]} outbox
 * @param {string} clientMsgId
 * @param {Entry["state"]} state
 * @param {string} [error] for people
 * @returns {Entry[]}
 */
export function marked(outbox, clientMsgId, state, error = "") {
  return outbox.map((entry) => (entry.client_msg_id === clientMsgId ? { ...entry, state, error } : entry));
}

/** What to send now: one at a time, so that the order holds. @param {readonly Entry[]} outbox */
export function nextToSend(outbox) {
  if (outbox.some((entry) => entry.state === "sending")) return null;
  return outbox.find((entry) => entry.state === "waiting") ?? null;
}

/** How many are not sent yet and will be. @param {readonly Entry[]} outbox */
export function waitingCount(outbox) {
  return outbox.filter((entry) => entry.state !== "failed").length;
}

/**
 * The outbox as it was stored. Whether what was being sent arrived is unknown: it is sent again, under the same
 * client_msg_id, and the server answers with the message it has.
 * @param {string | null} stored
 * @returns {Entry[]}
 */
export function restored(stored) {
  try {
    const entries = JSON.parse(stored ?? "[]");
    if (!Array.isArray(entries)) return [];
    return entries.map((entry) => (entry.state === "sending" ? { ...entry, state: "waiting" } : entry));
  } catch {
    return [];
  }
}
