import { useEffect, useReducer } from "preact/hooks";

/** Draw again with each change of the store, while the page is visible. @param {import("./store.js").LiveStore} store */
export function useStore(store) {
  const [, draw] = useReducer((number) => number + 1, 0);
  useEffect(() => store.listen(() => document.hidden || draw(0)), [store]);
}
