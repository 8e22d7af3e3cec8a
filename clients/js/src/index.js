export { BATCH_SUBPROTOCOL, RealtimeClient, SUBPROTOCOL } from "./client.js";
export { RealtimeError } from "./errors.js";
