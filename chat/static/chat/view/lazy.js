import { useEffect, useState } from "preact/hooks";

import { _ } from "../lib/texts.js";
import { html } from "./html.js";

/** The functions that load the modules of lazy components. @type {Set<() => Promise<unknown>>} */
const loads = new Set();

/** Load all modules of lazy components, one after the other, so that the first use of each needs no network. A failure shows at the first use. */
export async function loadTheRest() {
  for (const load of loads) await load().catch(() => {});
}

/**
 * A component whose module is loaded when it is first drawn, or by its `load`, which says whether it succeeded. Its props
 * have the `store`, which tells of a failure, and perhaps `onClose`, so that it can be opened again.
 * @param {() => Promise<Record<string, any>>} load
 * @param {string} name of the component in the module
 */
export function lazy(load, name) {
  /** @type {any} */
  let Loaded = null;
  loads.add(load);
  Lazy.load = () => load().then((module) => Boolean((Loaded = module[name])), () => false);
  function Lazy(/** @type {{store: import("../state/store.js").ChatStore} & Record<string, any>} */ props) {
    const [, redraw] = useState(0);
    const isMissing = Loaded === null;
    const done = (/** @type {boolean} */ isLoaded) => {
      if (isLoaded) return redraw(1);
      props.store.notice.value = _("A part of the page did not load. Check your network, then try again or reload the page.");
      return props.onClose?.();
    };
    // It may have been loaded since it was drawn.
    useEffect(() => void (isMissing && Lazy.load().then(done)), []);
    return Loaded && html`<${Loaded} ...${props} />`;
  }
  return Lazy;
}
