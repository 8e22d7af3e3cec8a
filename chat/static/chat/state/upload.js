import { _ } from "realtime/texts";

import { reasonText } from "../lib/attachments.js";
/** @import {Attachment, Person} from "../types.js" */

// An upload that makes no progress for this long has failed.
const STALLED_MS = 60_000;
const UNREACHABLE = { code: "unreachable", message: _("The server could not be reached."), retryable: true, retryAfterMs: 0 };
const CANCELLED = { code: "cancelled", message: _("Cancelled."), retryable: false, retryAfterMs: 0 };

/** @typedef {{onProgress?: (progress: number) => void, signal?: AbortSignal}} Options */

/**
 * Upload a file.
 * @param {Attachment} attachment @param {Options} options
 * @returns {Promise<number>} the file's id; it fails with an error as those of the socket's requests
 */
export async function post({ name, blob }, options) {
  return (await send("POST", "/api/chat/files/", { name, blob }, options)).id;
}

/** Upload the reader's profile picture; null removes it. @param {File | null} picture @returns {Promise<Person>} the new profile */
export async function postPicture(picture) {
  const file = picture && { name: picture.name, blob: picture };
  return (await send(file ? "POST" : "DELETE", "/api/chat/profile/picture/", file)).profile;
}

/**
 * Send a form with a file. `fetch` tells nothing about progress.
 * @param {string} method @param {string} path @param {{name: string, blob: Blob} | null} file @param {Options} [options]
 * @returns {Promise<any>} the body of the answer
 */
function send(method, path, file, { onProgress = () => {}, signal = new AbortController().signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(CANCELLED);
    const request = new XMLHttpRequest();
    let stalled = setTimeout(() => request.abort(), STALLED_MS);
    request.upload.onprogress = ({ loaded, total }) => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALLED_MS);
      onProgress(total > 0 ? loaded / total : 0);
    };
    request.onload = () => (request.status < 300 ? resolve(request.response) : reject(errorOf(request)));
    request.onerror = () => reject(UNREACHABLE);
    request.onabort = () => reject(signal.aborted ? CANCELLED : UNREACHABLE);
    request.onloadend = () => clearTimeout(stalled);
    signal.addEventListener("abort", () => request.abort());
    request.open(method, path);
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", csrfToken());
    const form = new FormData();
    if (file) form.append("file", file.blob, file.name);
    request.send(file && form);
    return undefined;
  });
}

/** @param {XMLHttpRequest} request */
function errorOf(request) {
  const { status, response } = request;
  // A proxy answers without a code.
  const { code = status === 413 ? "message_too_large" : "internal", message = _("The server did not take it.") } = response?.error ?? {};
  const retryAfterMs = 1000 * Number(request.getResponseHeader("Retry-After") ?? 0);
  return { code, message: reasonText({ code, message }), retryable: status === 429 || status >= 500, retryAfterMs };
}

/** From the form for signing out: the cookie's name depends on the site. */
const csrfToken = () => /** @type {HTMLInputElement | null} */ (document.querySelector("[name=csrfmiddlewaretoken]"))?.value ?? "";
