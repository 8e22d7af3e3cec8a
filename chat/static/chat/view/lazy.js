import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { _ } from "realtime/texts";

import { html } from "./html.js";
/** @import {ChatStore} from "../types.js" */

/** The functions that load lazy components, with their styles, and say whether they succeeded. @type {Set<() => Promise<boolean>>} */
const loads = new Set();

// How many components have loaded. Those that failed try again when another one succeeds.
const successes = signal(0);
/** @type {Promise<unknown> | null} */
let styles = null;

/** Load the styles of all lazy components, once. A failure is forgotten: the next component tries again. */
function loadStyles() {
  return (styles ??= new Promise((resolve, reject) => {
    const onerror = (/** @type {unknown} */ event) => {
      styles = null;
      link.remove();
      reject(event);
    };
    const href = document.getElementById("main")?.dataset.laterStyles ?? "";
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: resolve, onerror });
    document.head.append(link);
  }));
}

/**
 * Load all lazy components, one after the other, so that the first use of each needs no network and is drawn at once. A failure shows
 * at the first use.
 * @returns {Promise<boolean>} whether all are loaded
 */
export async function loadTheRest() {
  let isWhole = true;
  // A module that was loaded may bring lazy components of its own, which are the next.
  for (const load of loads) if (!(await load())) isWhole = false;
  return isWhole;
}

/**
 * A component whose module and styles are loaded when it is first drawn, or by its `load`, which says whether it succeeded. Its props
 * have the `store`, which tells of a failure, and perhaps `onClose`, so that it can be opened again. What stays on the page
 * tries again when the connection changes or another component has loaded.
 * @param {() => Promise<Record<string, any>>} load @param {string} name of the component in the module
 * @param {{isLater?: boolean}} [options] isLater: nobody waits for it, so it comes after messages that are on their way, unless a panel is opened
 */
export function lazy(load, name, { isLater = false } = {}) {
  /** @type {any} */
  let Loaded = null;
  Lazy.load = () => Promise.all([load(), loadStyles()]).then(succeed, () => false);
  loads.add(Lazy.load);
  function succeed(/** @type {[Record<string, any>, unknown]} */ [module]) {
    if (Loaded === null) successes.value += 1;
    return Boolean((Loaded = module[name]));
  }
  function Lazy(/** @type {{store: ChatStore} & Record<string, any>} */ props) {
    const { connection, drawer, isStarting } = props.store;
    const mustWait = () => isLater && isStarting.value && drawer.value !== "panel";
    const attempt = Loaded === null && `${successes.value} ${connection.value.name} ${mustWait()}`;
    const done = (/** @type {boolean} */ isLoaded) => {
      if (isLoaded) return;
      props.store.notice.value = _("A part of the page did not load. Check your network, then try again or reload the page.");
      props.onClose?.();
    };
    useEffect(() => {
      if (attempt !== false && !mustWait()) Lazy.load().then(done);
    }, [attempt]);
    return Loaded && html`<${Loaded} ...${props} />`;
  }
  return Lazy;
}
