import { RealtimeError } from "./errors.js";

// Values that wait for the caller. Older ones are dropped, as the server does.
const VALUES_MAX = 100;

/**
 * Start a stream on `/ws/stream/`, and iterate over its values: `{stream, source, timestamp, value}`. After a reconnect it is
 * started again. Leaving the loop early stops it.
 *
 * `for await (const { value } of stream(client, "clock", { interval: 5 })) …`
 * @param {import("./client.js").RealtimeClient} client
 * @param {string} source
 * @param {{interval?: number}} [options] interval: seconds between two values
 * @returns {AsyncGenerator<Record<string, any>, void, void>} throws RealtimeError
 */
export async function* stream(client, source, { interval } = {}) {
  /** @type {{stream?: string, value?: Record<string, any>, error?: Error, isLost?: boolean}[]} */
  const heard = [];
  // Until the reply to `start` has come, what is heard of any stream is kept: it may be of this one.
  /** @type {string | undefined} */
  let name;
  let wake = () => {};
  const hear = (/** @type {string} */ type, /** @type {(payload: any) => any} */ take) =>
    client.on(type, (pushed) => {
      const item = take(pushed);
      if (!item || !(item.isLost || name === undefined || item.stream === name)) return;
      if (heard.push(item) > VALUES_MAX) heard.shift();
      wake();
    });
  const silence = [
    hear("data", (value) => ({ stream: value.stream, value })),
    hear("stopped", (ended) => ({ stream: ended.stream })),
    hear("error", (error) => ({ stream: error.details?.stream, error: RealtimeError.fromPayload(error) })),
    hear("state", (state) => state.name !== "online" && { isLost: true }),
  ];
  try {
    for (;;) {
      name ??= await started(client, { source, interval }, heard);
      const item = heard.shift();
      if (item === undefined) await new Promise((resolve) => (wake = () => resolve(undefined)));
      else if (item.isLost) name = undefined;
      else if (item.value && item.stream === name) yield item.value;
      else if (item.stream === name) {
        name = undefined;
        if (item.error) throw item.error;
        return;
      }
    }
  } finally {
    for (const each of silence) each();
    if (name !== undefined) client.request("stop", { stream: name }).catch(() => {});
  }
}

/**
 * @param {import("./client.js").RealtimeClient} client
 * @param {Record<string, unknown>} payload
 * @param {unknown[]} heard
 * @returns {Promise<string>} the name of the stream
 */
async function started(client, payload, heard) {
  for (;;) {
    await client.ready();
    heard.length = 0;
    try {
      return (await client.request("start", payload)).payload.stream;
    } catch (error) {
      // A connection that was lost comes back.
      if (/** @type {RealtimeError} */ (error).code !== "disconnected") throw error;
    }
  }
}
