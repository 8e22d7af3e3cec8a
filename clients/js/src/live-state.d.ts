import type { Contract, Position, Publication, RealtimeClient } from "./index.js";

export interface LiveStateOptions<S, D = any> {
  /** The state, and the position of the topic that was read before it. */
  load: () => Promise<{ state: S; since: Position }>;
  /** The state after a publication. It may be given one that is in the loaded state already. */
  reduce: (state: S, publication: Publication<D>) => S;
}

/**
 * Keep a state up to date: load it together with its position, then apply every publication after that, once and in order. If some
 * were lost, it is loaded again. Returns a function that stops this.
 */
export function liveState<C extends Contract, T extends keyof C["topics"] & string, S>(
  client: RealtimeClient<C>,
  topic: T,
  options: LiveStateOptions<S, C["topics"][T]> & {
    onState: (state: S) => void;
    /** Loading failed, and is tried again later; or the subscription was refused, and is over. */
    onError?: (error: unknown) => void;
  },
): () => void;
