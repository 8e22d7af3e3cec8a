/**
 * The JSON envelope of every message, as in the protocol: `{"id": …, "type": "…", "payload": {…}}`.
 *
 * @typedef {{id: string | number | null, type: string, payload: Record<string, any>}} Envelope
 */

/**
 * One frame of text for a message.
 * @param {string} type the verb
 * @param {Record<string, unknown>} [payload]
 * @param {string | null} [id] a reply is wanted when given
 */
export function encode(type, payload = {}, id = null) {
  return JSON.stringify(id === null ? { type, payload } : { id, type, payload });
}

/**
 * The message in a frame, or null for anything that is not one: a client has nobody to complain to.
 * @param {unknown} frame
 * @returns {Envelope | null}
 */
export function decode(frame) {
  if (typeof frame !== "string") return null;
  const message = parse(frame);
  if (!isObject(message) || typeof message.type !== "string") return null;
  return { id: message.id ?? null, type: message.type, payload: isObject(message.payload) ? message.payload : {} };
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {any} value
 * @returns {value is Record<string, any>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
