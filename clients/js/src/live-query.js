import { backoffMs } from "./backoff.js";
import { RealtimeError } from "./errors.js";
import { guarded } from "./guarded.js";

// Pushes that are kept while the query is asked: they may be of it. Beyond it the query is asked again.
const HELD_MAX = 1000;

/**
 * Watch a query of `/ws/data/`: all rows, and then each change. After a reconnect the query is asked again, and `onReset` has
 * all rows anew.
 *
 * @param {import("./client.js").RealtimeClient} client
 * @param {string} query
 * @param {Record<string, unknown>} params
 * @param {{onReset: (items: any[]) => void, onChange?: (change: {op: "insert" | "update" | "remove", item: any}) => void,
 *   onEnded?: (error: RealtimeError) => void, pageSize?: number}} options
 *   onReset: all rows, at first and after each reconnect
 *   onEnded: the server refused the query, or ended it; nothing more comes
 * @returns {() => void} stops watching
 */
export function liveQuery(client, query, params, { onReset, onChange, onEnded, pageSize }) {
  let isOver = false;
  let failures = 0;
  /** The server's name of the query on this connection. @type {string | undefined} */
  let name;
  /** The request that is in flight; another one is not waited for any more. @type {object | undefined} */
  let asking;
  /** @type {[string, any][]} */
  let held = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;

  async function ask() {
    const mine = (asking = {});
    held = [];
    try {
      const payload = { query, params, watch: true, ...(pageSize && { page_size: pageSize }) };
      const rows = (await client.request("query", payload)).payload;
      if (mine !== asking) return;
      asking = undefined;
      accept(rows);
    } catch (error) {
      if (mine !== asking) return;
      asking = undefined;
      failed(/** @type {RealtimeError} */ (error));
    }
  }

  /** @param {Record<string, any>} rows */
  function accept({ query_id, items }) {
    if (isOver) return unwatch(query_id);
    failures = 0;
    if (held.length > HELD_MAX) {
      unwatch(query_id);
      return void ask();
    }
    name = query_id;
    guarded(onReset)(items);
    for (const [type, payload] of held.splice(0)) take(type, payload);
  }

  /** @param {RealtimeError} error */
  function failed(error) {
    // The next connection asks again.
    if (isOver || error.code === "disconnected") return;
    if (!error.retryable) return end(error);
    retry = setTimeout(ask, Math.max(error.retryAfterMs, backoffMs((failures += 1), Math.random())));
  }

  /** @param {string} type @param {any} payload */
  function take(type, payload) {
    if (asking !== undefined && held.length <= HELD_MAX) held.push([type, payload]);
    if (name === undefined || payload.query_id !== name) return;
    if (type === "change") return guarded(onChange)({ op: payload.op, item: payload.item });
    name = undefined;
    // Other rights, after a refresh of the token: the answer says whether they are enough.
    if (payload.code === "permission_denied") return void ask();
    end(new RealtimeError(payload.code, payload.reason));
  }

  /** @param {{name: string}} state */
  function follow(state) {
    clearTimeout(retry);
    name = asking = undefined;
    if (state.name === "online") ask();
  }

  /** @param {string} query_id */
  function unwatch(query_id) {
    client.request("unwatch", { query_id }).catch(() => {});
  }

  /** @param {RealtimeError} [error] */
  function end(error) {
    if (isOver) return;
    isOver = true;
    clearTimeout(retry);
    for (const each of silence) each();
    if (name !== undefined) unwatch(name);
    name = undefined;
    if (error) guarded(onEnded)(error);
  }

  const silence = [
    client.on("change", (payload) => take("change", payload)),
    client.on("unwatched", (payload) => take("unwatched", payload)),
    client.on("state", follow),
  ];
  if (client.state.name === "online") ask();
  return () => end();
}
