// An upload that makes no progress for this long has failed.
const STALLED_MS = 60_000;
const UNREACHABLE = { code: "unreachable", message: "The server could not be reached.", retryable: true, retryAfterMs: 0 };
const CANCELLED = { code: "cancelled", message: "Cancelled.", retryable: false, retryAfterMs: 0 };

/**
 * Upload a file. `fetch` tells nothing about progress.
 * @param {import("../lib/attachments.js").Attachment} attachment
 * @param {{onProgress: (progress: number) => void, signal: AbortSignal}} options
 * @returns {Promise<number>} the file's id; it fails with an error as those of the socket's requests
 */
export function post({ name, blob }, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(CANCELLED);
    const request = new XMLHttpRequest();
    let stalled = setTimeout(() => request.abort(), STALLED_MS);
    request.upload.onprogress = ({ loaded, total }) => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALLED_MS);
      onProgress(total > 0 ? loaded / total : 0);
    };
    request.onload = () => (request.status === 201 ? resolve(request.response.id) : reject(errorOf(request)));
    request.onerror = () => reject(UNREACHABLE);
    request.onabort = () => reject(signal.aborted ? CANCELLED : UNREACHABLE);
    request.onloadend = () => clearTimeout(stalled);
    signal.addEventListener("abort", () => request.abort());
    request.open("POST", "/api/chat/files/");
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", csrfToken());
    const form = new FormData();
    form.append("file", blob, name);
    request.send(form);
    return undefined;
  });
}

/** @param {XMLHttpRequest} request */
function errorOf(request) {
  const { status, response } = request;
  // A proxy answers without a code.
  const { code = status === 413 ? "message_too_large" : "internal", message = "The server did not take it." } = response?.error ?? {};
  const retryAfterMs = 1000 * Number(request.getResponseHeader("Retry-After") ?? 0);
  return { code, message, retryable: status === 429 || status >= 500, retryAfterMs };
}

/** From the form for signing out: the cookie's name depends on the site. */
function csrfToken() {
  return /** @type {HTMLInputElement | null} */ (document.querySelector("[name=csrfmiddlewaretoken]"))?.value ?? "";
}
