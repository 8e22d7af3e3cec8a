import type { Contract, RealtimeClient, RealtimeError } from "./index.js";

/** A row that is new, has changed, or is no longer in the query. */
export interface Change<I = any> {
  op: "insert" | "update" | "remove";
  item: I;
}

/**
 * Watch a query of `/ws/data/`: all rows, and then each change. After a reconnect the query is asked again. Returns a function that
 * stops watching.
 */
export function liveQuery<C extends Contract, Q extends keyof C["queries"] & string>(
  client: RealtimeClient<C>,
  query: Q,
  params: C["queries"][Q]["params"],
  options: {
    /** All rows: at first, and after each reconnect. */
    onReset: (items: C["queries"][Q]["item"][]) => void;
    onChange?: (change: Change<C["queries"][Q]["item"]>) => void;
    /** The server refused the query, or ended it; nothing more comes. */
    onEnded?: (error: RealtimeError) => void;
    /** Rows of a page of the first answer. */
    pageSize?: number;
  },
): () => void;
