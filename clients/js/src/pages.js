/**
 * Send a request and iterate over the pages of its reply as they come. Leaving the loop early ends the request.
 * @param {import("./requests.js").Requests} requests
 * @param {string} type
 * @param {Record<string, unknown>} payload
 * @param {number} timeoutMs until the first page, and between two
 * @returns {AsyncGenerator<Record<string, any>, void, void>} throws RealtimeError
 */
export async function* pagesOf(requests, type, payload, timeoutMs) {
  /** @type {Record<string, any>[]} */
  const arrived = [];
  let wake = () => {};
  const take = (/** @type {import("./envelope.js").Envelope} */ page) => {
    arrived.push(page.payload);
    wake();
  };
  const { id, reply } = requests.ask(type, payload, timeoutMs, take);
  let isOver = false;
  const ended = reply.then(take).finally(() => {
    isOver = true;
    wake();
  });
  // It is thrown below, after the pages that came before it.
  ended.catch(() => {});
  try {
    while (arrived.length > 0 || !isOver) {
      if (arrived.length === 0) await new Promise((resolve) => (wake = () => resolve(undefined)));
      for (const page of arrived.splice(0)) yield page;
    }
    await ended;
  } finally {
    requests.abandon(id);
  }
}
