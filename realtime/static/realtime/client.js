/** The client for pages without an import map. With one it is `realtime/client`. */
export * from "./client/index.js";
