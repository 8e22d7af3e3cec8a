import { useEffect, useRef } from "preact/hooks";

/**
 * Listens to something that another component draws. Events come faster than effects, so the handlers are those of the last drawing.
 * @param {() => EventTarget | null} targetOf @param {Record<string, (event: any) => void>} handlers by the names of events
 * @param {{capture?: boolean}} [options]
 */
export function useEvents(targetOf, handlers, options) {
  const now = useRef(handlers);
  now.current = handlers;
  useEffect(() => {
    const listening = new AbortController();
    for (const name of Object.keys(handlers)) targetOf()?.addEventListener(name, (event) => now.current[name](event), { ...options, signal: listening.signal });
    return () => listening.abort();
  }, []);
}
