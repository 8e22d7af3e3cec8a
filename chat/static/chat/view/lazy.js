import { useEffect, useState } from "preact/hooks";

import { html } from "./html.js";

/**
 * A component whose module is loaded when it is first drawn. Its props have the `store`, which tells of a failure.
 * @param {() => Promise<Record<string, any>>} load
 * @param {string} name of the component in the module
 */
export function lazy(load, name) {
  /** @type {any} */
  let Loaded = null;
  return function Lazy(/** @type {{store: import("../state/store.js").ChatStore} & Record<string, any>} */ props) {
    const [, redraw] = useState(0);
    useEffect(() => {
      const loaded = (/** @type {Record<string, any>} */ module) => {
        Loaded = module[name];
        redraw(1);
      };
      const failed = () => (props.store.notice.value = "A part of the page did not load. Check your network, and reload the page.");
      if (Loaded === null) load().then(loaded, failed);
    }, []);
    return Loaded && html`<${Loaded} ...${props} />`;
  };
}
