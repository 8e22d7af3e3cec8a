import { UNAUTHENTICATED } from "./close-codes.js";

/** The error of a request that was refused, timed out or lost its connection. */
export class RealtimeError extends Error {
  /**
   * @param {string} code one of the protocol's error codes, or `disconnected` if there was no connection
   * @param {string} message for people
   * @param {{retryable?: boolean, retryAfterMs?: number, details?: unknown}} [more]
   */
  constructor(code, message, { retryable = false, retryAfterMs = 0, details } = {}) {
    super(message);
    this.name = "RealtimeError";
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
    this.details = details;
  }

  /**
   * The error that the server answered with.
   * @param {Record<string, any>} payload of an `error` message
   */
  static fromPayload(payload) {
    return new RealtimeError(payload.code ?? "internal", payload.message ?? "The server answered with an error.", {
      retryable: payload.retryable === true,
      retryAfterMs: payload.retry_after_ms ?? 0,
      details: payload.details,
    });
  }

  /** The error of a request that was made without a connection, or was in flight when it ended. */
  static disconnected() {
    return new RealtimeError("disconnected", "There is no connection.", { retryable: true });
  }

  /**
   * The error of a request to a client that has stopped for good.
   * @param {import("./client.js").State} state
   */
  static stopped({ code, reason }) {
    const name = code === UNAUTHENTICATED ? "unauthenticated" : "disconnected";
    return new RealtimeError(name, reason || "The client has stopped.", { details: { close_code: code, reason } });
  }
}
