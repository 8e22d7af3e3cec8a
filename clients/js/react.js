import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

import { liveState } from "./src/live-state.js";
import { NOBODY, presenceAfter } from "./src/presence.js";

const LOADING = { state: undefined, error: null };

/** The state of the connection: `{name: "online"}` and so on. */
export function useConnection(client) {
  const listen = useCallback((changed) => client.on("state", changed), [client]);
  const read = () => client.state;
  return useSyncExternalStore(listen, read, read);
}

/** Call the newest `onPublication`, `onRecovered` … of `options` while the component is there. `topic` may be null for none. */
export function useSubscription(client, topic, options = {}) {
  const newest = useRef(options);
  useEffect(() => {
    newest.current = options;
  });
  const { presence, recover } = options;
  useEffect(() => {
    if (topic == null) return undefined;
    const call = (name) => (value) => newest.current[name]?.(value);
    const { since } = newest.current;
    const calls = ["onPublication", "onSubscribed", "onRecovered", "onPresence", "onEnded"].map((name) => [name, call(name)]);
    return client.subscribe(topic, { presence, recover, since, ...Object.fromEntries(calls) });
  }, [client, topic, presence, recover]);
}

/** `{state, error}`: what `load` returned, kept up to date by `reduce`. Until it is loaded `state` is undefined. */
export function useLiveState(client, topic, { load, reduce }) {
  const [view, setView] = useOfTopic(client, topic, LOADING);
  const newest = useRef({ load, reduce });
  useEffect(() => {
    newest.current = { load, reduce };
  });
  useEffect(() => {
    if (topic == null) return undefined;
    setView(() => LOADING);
    return liveState(client, topic, {
      load: () => newest.current.load(),
      reduce: (state, publication) => newest.current.reduce(state, publication),
      onState: (state) => setView(() => ({ state, error: null })),
      onError: (error) => setView(({ state }) => ({ state, error })),
    });
  }, [client, topic, setView]);
  return view;
}

/** The users who follow the topic: `{users, count}`. */
export function usePresence(client, topic) {
  const [present, setPresent] = useOfTopic(client, topic, NOBODY);
  useSubscription(client, topic, {
    presence: true,
    onSubscribed: (reply) => setPresent(() => reply.presence ?? NOBODY),
    onPresence: (change) => setPresent((before) => presenceAfter(before, change)),
  });
  return present;
}

/** As useState, but the value is `first` again for another client or topic, from the same render on. */
function useOfTopic(client, topic, first) {
  const [held, hold] = useState({ value: first });
  const own = (it) => (it.client === client && it.topic === topic ? it.value : first);
  const set = useCallback((change) => hold((it) => ({ client, topic, value: change(own(it)) })), [client, topic]);
  return [own(held), set];
}
