import type { Contract, RealtimeClient } from "./index.js";

export interface StreamValue<V = any> {
  stream: string;
  source: string;
  /** Seconds of Unix time. */
  timestamp: number;
  value: V;
}

/**
 * Start a stream on `/ws/stream/`, and iterate over its values. After a reconnect it is started again. Leaving the loop early stops
 * it. Throws RealtimeError.
 *
 * @param options interval: seconds between two values
 */
export function stream<C extends Contract, S extends keyof C["streams"] & string>(
  client: RealtimeClient<C>,
  source: S,
  options?: { interval?: number },
): AsyncGenerator<StreamValue<C["streams"][S]>, void, void>;
