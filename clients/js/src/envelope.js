/**
 * The protocol's JSON envelope of every message: `{"id": …, "type": "…", "payload": {…}}`.
 *
 * @typedef {{id: string | number | null, type: string, payload: Record<string, any>}} Envelope
 */

/**
 * The text frame of a message. Throws a TypeError for NaN and the infinities, which JSON would make null.
 * @param {string} type the verb
 * @param {Record<string, unknown>} [payload]
 * @param {string} [id] asks for a reply
 */
export function encode(type, payload = {}, id) {
  return JSON.stringify({ id, type, payload }, finite);
}

/** @param {string} key @param {unknown} value */
function finite(key, value) {
  if (typeof value !== "number" || isFinite(value)) return value;
  throw new TypeError(`${key}: ${value}`);
}

/**
 * The message in a frame, or null if the frame holds none. A client ignores such a frame.
 * @param {unknown} frame
 * @returns {Envelope | null}
 */
export function decode(frame) {
  const message = parse(frame);
  if (!isObject(message) || typeof message.type !== "string") return null;
  return { id: message.id ?? null, type: message.type, payload: isObject(message.payload) ? message.payload : {} };
}

/** @param {any} text of a binary frame the name of its class, which is not JSON either */
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
