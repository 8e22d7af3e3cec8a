import type { RealtimeClient } from "./index.js";

/** Tell a client about changes of the page: offline, online, visible again, awake again, in use. Returns a function that stops this. */
export function watchPage(client: RealtimeClient<any>): () => void;
