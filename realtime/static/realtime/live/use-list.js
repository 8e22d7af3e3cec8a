import { useEffect, useReducer, useRef } from "preact/hooks";

/** Milliseconds between two reads of the lists that are shown, unless a list says otherwise. */
const EVERY_MS = 5_000;

/**
 * @typedef {{key: string, answer: any, atMs: number, error: string}} Read the last answer for `key`
 * @typedef {{api: import("./api.js").Api, config: any, isPaused: () => boolean, round: number}} Page `round` rises when something was ordered
 */

/**
 * Read a list now, then again and again while the page is visible and not paused. The last answer
 * stays when a later read of the same list fails; `atMs` is its time.
 *
 * @param {Page} page
 * @param {string | null} path null reads nothing
 * @param {Record<string, string>} params
 * @param {number} [everyMs]
 * @returns {Read}
 */
export function useList(page, path, params, everyMs = EVERY_MS) {
  const key = path === null ? "" : `${path}?${new URLSearchParams(params)}`;
  const last = useRef(/** @type {Read} */ ({ key: "", answer: null, atMs: 0, error: "" }));
  const [, show] = useReducer((number) => number + 1, 0);
  useEffect(() => {
    if (path === null) return undefined;
    const leaving = new AbortController();
    let isReading = false;
    const read = async () => {
      if (isReading) return;
      isReading = true;
      try {
        const answer = await page.api.get(path, params, leaving.signal);
        last.current = { key, answer, atMs: Date.now(), error: "" };
      } catch (error) {
        if (leaving.signal.aborted) return;
        const kept = last.current.key === key ? last.current : { key, answer: null, atMs: 0, error: "" };
        last.current = { ...kept, error: /** @type {Error} */ (error).message };
      } finally {
        isReading = false;
      }
      show(0);
    };
    const readIfSeen = () => document.hidden || page.isPaused() || read();
    read();
    const timer = setInterval(readIfSeen, everyMs);
    document.addEventListener("visibilitychange", readIfSeen);
    return () => {
      leaving.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", readIfSeen);
    };
  }, [key, page.round]);
  return last.current.key === key ? last.current : { key, answer: null, atMs: 0, error: "" };
}

/** Draw again every second, for ages. */
export function useSecond() {
  const [, tick] = useReducer((number) => number + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || tick(0), 1000);
    return () => clearInterval(timer);
  }, []);
}
