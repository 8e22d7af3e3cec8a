/** The page's import map, for Node: node --import. */
import { registerHooks } from "node:module";

const STATIC = new URL("../../realtime/static/", import.meta.url);
const MODULES = {
  preact: "vendor/preact.js",
  "preact/hooks": "vendor/preact-hooks.js",
  htm: "vendor/htm.js",
  "@preact/signals": "vendor/signals.js",
  "@preact/signals-core": "vendor/signals-core.js",
  "realtime/client": "realtime/client/index.js",
  "realtime/presence": "realtime/client/presence.js",
  "realtime/texts": "realtime/texts.js",
};

registerHooks({
  resolve(specifier, context, next) {
    const path = MODULES[specifier];
    return next(path === undefined ? specifier : new URL(path, STATIC).href, context);
  },
});
