/**
 * Messages on their way. They are shown at once, sent in order and kept until the server confirms them. All
 * functions are pure; an outbox is an array, oldest first.
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

/** The message to send now: one at a time, to keep the order. @param {readonly Entry[]} outbox */
export function nextToSend(outbox) {
  if (outbox.some((entry) => entry.state === "sending")) return null;
  return outbox.find((entry) => entry.state === "waiting") ?? null;
}

/** How many messages still have to be sent. @param {readonly Entry[]} outbox */
export function waitingCount(outbox) {
  return outbox.filter((entry) => entry.state !== "failed").length;
}

/**
 * The outbox as it was stored. A message that was being sent may have arrived or not. It is sent again with
 * the same client_msg_id, and the server answers with the stored message if it has it.
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
