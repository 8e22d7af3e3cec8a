const TIMEOUT_MS = 5_000;

/**
 * Asks a page of the server whether the server is there. A proxy whose server is away answers 502 to 504.
 * @param {string} url on this page's host, cheap to answer
 * @returns {() => Promise<boolean>} for the client's option `isReachable`
 */
export function reachableAt(url) {
  return async () => {
    const response = await fetch(url, { method: "HEAD", cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TIMEOUT_MS) });
    return response.status < 500;
  };
}
