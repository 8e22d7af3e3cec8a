import { onScopeDispose, shallowRef, toValue, watch } from "vue";

import { liveState } from "./src/live-state.js";
import { NOBODY, presenceAfter } from "./src/presence.js";

/** A ref to the state of the connection: `{name: "online"}` and so on. */
export function useConnection(client) {
  const state = shallowRef(client.state);
  onScopeDispose(client.on("state", (now) => (state.value = now)));
  return state;
}

/** Subscribe while the component is there. `topic` may be a ref or a getter, and null for none. */
export function useSubscription(client, topic, options = {}) {
  eachTopic(topic, () => {}, (name) => client.subscribe(name, options));
}

/** `{state, error}`, two refs: what `load` returned, kept up to date by `reduce`. Until it is loaded `state` is undefined. */
export function useLiveState(client, topic, { load, reduce }) {
  const state = shallowRef(undefined);
  const error = shallowRef(null);
  const show = (now) => {
    state.value = now;
    error.value = null;
  };
  const onError = (failure) => (error.value = failure);
  eachTopic(topic, show, (name) => liveState(client, name, { load, reduce, onState: show, onError }));
  return { state, error };
}

/** A ref to the users who follow the topic: `{users, count}`. */
export function usePresence(client, topic) {
  const present = shallowRef(NOBODY);
  const options = {
    presence: true,
    onSubscribed: (reply) => (present.value = reply.presence ?? NOBODY),
    onPresence: (change) => (present.value = presenceAfter(present.value, change)),
  };
  eachTopic(topic, () => (present.value = NOBODY), (name) => client.subscribe(name, options));
  return present;
}

/** Forget what another topic had, and follow the newest value of `topic`, until the scope ends. */
function eachTopic(topic, forget, follow) {
  const start = (name, _, onCleanup) => {
    forget();
    if (name != null) onCleanup(follow(name));
  };
  watch(() => toValue(topic), start, { immediate: true });
}
