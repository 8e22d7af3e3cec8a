/**
 * The protocol's JSON envelope of every message: `{"id": …, "type": "…", "payload": {…}}`.
 *
 * @typedef {{id: string | number | null, type: string, payload: Record<string, any>}} Envelope
 */

/**
 * The text frame of a message.
 * @param {string} type the verb
 * @param {Record<string, unknown>} [payload]
 * @param {string | null} [id] asks for a reply
 */
export function encode(type, payload = {}, id = null) {
  return JSON.stringify(id === null ? { type, payload } : { id, type, payload });
}

/**
 * The message in a frame, or null if the frame holds none. A client ignores such a frame.
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
