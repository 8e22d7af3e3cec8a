import { backoffMs } from "./backoff.js";
import { RealtimeError } from "./errors.js";

/**
 * Keep a state up to date: load it together with its position, then apply every publication after that position, once and in
 * order. If some were lost, it is loaded again.
 *
 * @template S
 * @param {import("./client.js").RealtimeClient} client
 * @param {string} topic
 * @param {{load: () => Promise<{state: S, since: import("./subscription.js").Position}>,
 *   reduce: (state: S, publication: import("./subscription.js").Publication) => S,
 *   onState: (state: S) => void, onError?: (error: any) => void}} options
 *   load: the state, and the position of the topic that was read before it
 *   reduce: the state after a publication. It may be given one that is in the loaded state already
 *   onError: loading failed, and is tried again later; or the subscription was refused, and is over
 * @returns {() => void} stops
 */
export function liveState(client, topic, { load, reduce, onState, onError = () => {} }) {
  let isOver = false;
  let failures = 0;
  let unsubscribe = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;

  async function follow() {
    try {
      const loaded = await load();
      if (!isOver) subscribe(loaded);
    } catch (error) {
      if (!isOver) failed(error);
    }
  }

  /** @param {unknown} error */
  function failed(error) {
    onError(error);
    retry = setTimeout(follow, backoffMs((failures += 1), Math.random()));
  }

  /** Publications are missing after the position. If the state was loaded for that already, `load` gives an old one: a cache, perhaps. */
  function lost() {
    unsubscribe();
    if (failures > 0) return failed(new RealtimeError("unrecoverable_position", "The loaded position is not in the history.", { retryable: true }));
    failures = 1;
    follow();
  }

  /** @param {{state: S, since: import("./subscription.js").Position}} loaded */
  function subscribe({ state, since }) {
    onState(state);
    unsubscribe = client.subscribe(topic, {
      since,
      onPublication: (publication) => onState((state = reduce(state, publication))),
      onRecovered: (isComplete) => (isComplete ? (failures = 0) : lost()),
      onEnded: onError,
    });
  }

  follow();
  return () => {
    isOver = true;
    clearTimeout(retry);
    unsubscribe();
  };
}
