/**
 * The action of a client after its connection has ended, by close code. This is the protocol's table.
 *
 * - `reconnect`: soon; missed publications are recovered from the history
 * - `spread`: over some seconds, because all clients were disconnected at the same moment
 * - `back-off`: later, because this client exceeded a limit
 * - `sign-in`: only with a new credential
 * - `stop`: never, because it would fail again
 *
 * @typedef {"reconnect" | "spread" | "back-off" | "sign-in" | "stop"} CloseAction
 */

export const UNAUTHENTICATED = 4401;

/** @type {ReadonlyMap<number, CloseAction>} */
const ACTIONS = new Map([
  [1000, "stop"],
  [1001, "spread"],
  [1007, "stop"],
  [1009, "stop"],
  [1012, "spread"],
  [4400, "stop"],
  [UNAUTHENTICATED, "sign-in"],
  [4403, "stop"],
  [4404, "stop"],
  [4408, "reconnect"],
  [4410, "reconnect"],
  [4429, "back-off"],
  [4503, "spread"],
]);

const ENDED_BY_OPERATOR = 4409;
/** By the first word of the reason; the operator's words follow. @type {ReadonlyMap<string, CloseAction>} */
const OPERATOR_ACTIONS = new Map([
  ["reconnect", "spread"],
  ["stop", "stop"],
]);

/** The lowest attempt number for the backoff, so that the first wait is long enough. */
const MIN_ATTEMPTS = { reconnect: 0, spread: 2, "back-off": 5 };

/**
 * The action after a close. Codes that are not in the table, such as 1006 (network failure), reconnect.
 * @param {number} code
 * @param {string} [reason] after a close by an operator: whether to reconnect
 * @returns {CloseAction}
 */
export function closeAction(code, reason = "") {
  if (code === ENDED_BY_OPERATOR) return OPERATOR_ACTIONS.get(reason.split(":")[0]) ?? "back-off";
  return ACTIONS.get(code) ?? "reconnect";
}

/**
 * The attempt number for the backoff after `failures` failed attempts in a row.
 * @param {CloseAction} action
 * @param {number} failures
 */
export function attemptAfter(action, failures) {
  return Math.max(failures, MIN_ATTEMPTS[/** @type {keyof typeof MIN_ATTEMPTS} */ (action)] ?? 0);
}
