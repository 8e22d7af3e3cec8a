import { useEffect, useState } from "preact/hooks";

import { html } from "./html.js";

/**
 * A component whose module is loaded when it is first drawn, or by its `load`, which says whether it succeeded. Its props
 * have the `store`, which tells of a failure.
 * @param {() => Promise<Record<string, any>>} load
 * @param {string} name of the component in the module
 */
export function lazy(load, name) {
  /** @type {any} */
  let Loaded = null;
  Lazy.load = () => load().then((module) => Boolean((Loaded = module[name])), () => false);
  function Lazy(/** @type {{store: import("../state/store.js").ChatStore} & Record<string, any>} */ props) {
    const [, redraw] = useState(0);
    const isMissing = Loaded === null;
    const done = (/** @type {boolean} */ isLoaded) => {
      if (isLoaded) redraw(1);
      else props.store.notice.value = "A part of the page did not load. Check your network, and reload the page.";
    };
    // It may have been loaded since it was drawn.
    useEffect(() => void (isMissing && Lazy.load().then(done)), []);
    return Loaded && html`<${Loaded} ...${props} />`;
  }
  return Lazy;
}
