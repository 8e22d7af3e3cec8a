import type { Contract, Presence, RealtimeClient, State, SubscribeOptions } from "./src/index.js";
import type { LiveStateOptions } from "./src/live-state.js";

/** The state of the connection. */
export function useConnection(client: RealtimeClient<any>): State;
/** Call the newest functions of `options` while the component is there. `topic` may be null for none. */
export function useSubscription<C extends Contract, T extends keyof C["topics"] & string>(
  client: RealtimeClient<C>,
  topic: T | null | undefined,
  options?: SubscribeOptions<C["topics"][T]>,
): void;
/** The state that `load` returned, kept up to date by `reduce`. Until it is loaded, and without a topic, `state` is undefined. */
export function useLiveState<C extends Contract, T extends keyof C["topics"] & string, S>(
  client: RealtimeClient<C>,
  topic: T | null | undefined,
  options: LiveStateOptions<S, C["topics"][T]>,
): { state: S | undefined; error: unknown };
/** The users who follow the topic; nobody without a topic. */
export function usePresence<C extends Contract>(client: RealtimeClient<C>, topic: (keyof C["topics"] & string) | null | undefined): Presence;
