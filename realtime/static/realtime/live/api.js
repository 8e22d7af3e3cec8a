import { _ } from "../texts.js";

/** An answer that reports a failure. `fields` has the faults of the request by field. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {Record<string, string[]>} fields
   */
  constructor(status, message, fields) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

/** The control endpoints, asked with the session of the page. */
export class Api {
  /**
   * @param {string} base path of the endpoints; empty if the site has none
   * @param {string} csrfToken
   */
  constructor(base, csrfToken) {
    this.base = base;
    this.csrfToken = csrfToken;
  }

  /**
   * @param {string} path below the endpoints, or of the site if it begins with a slash
   * @param {Record<string, string>} [params]
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>} throws ApiError; TypeError without a network
   */
  get(path, params = {}, signal = undefined) {
    const search = new URLSearchParams(params).toString();
    return this.#ask(`${path}${search === "" ? "" : `?${search}`}`, { signal });
  }

  /**
   * @param {"POST" | "DELETE"} method
   * @param {string} path
   * @param {unknown} body
   * @param {string} key so that a second try does nothing twice
   * @returns {Promise<any>} throws ApiError; TypeError without a network
   */
  order(method, path, body, key) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": this.csrfToken, "Idempotency-Key": key };
    return this.#ask(path, { method, headers, body: JSON.stringify(body) });
  }

  /**
   * @param {string} path
   * @param {RequestInit} options
   */
  async #ask(path, options) {
    if (!path.startsWith("/") && this.base === "") throw new ApiError(404, _("This site has no control endpoints: include realtime.rest.urls."), {});
    const response = await fetch(path.startsWith("/") ? path : this.base + path, { credentials: "same-origin", ...options });
    const body = await response.json().catch(() => null);
    if (response.ok) return body;
    throw errorOf(response.status, body);
  }
}

/**
 * @param {number} status
 * @param {any} body
 */
export function errorOf(status, body) {
  const { message, details } = body?.error ?? {};
  const fields = Object.fromEntries(Object.entries(details ?? {}).map(([name, faults]) => [name, [faults].flat().map(String)]));
  return new ApiError(status, typeof message === "string" ? message : _("The server answered {status}.", { status }), fields);
}

/** A name for one request that is not used again. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
