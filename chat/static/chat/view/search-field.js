import { useEffect, useState } from "preact/hooks";

import { html } from "./html.js";

const ASK_AFTER_MS = 150;

/**
 * A field whose text is a query at once.
 * @param {{id: string, label: string, placeholder?: string, query: string, onQuery: (query: string) => void, [attribute: string]: any}} props
 */
export const SearchField = ({ id, label, placeholder = label, query, onQuery, ...attributes }) => html`
  <label class="visually-hidden" for=${id}>${label}</label>
  <input id=${id} class="input" type="text" autocomplete="off" dir="auto" placeholder=${placeholder} value=${query}
    onInput=${(/** @type {any} */ event) => onQuery(event.target.value)} ...${attributes} />`;

/**
 * What the server answers to a query when the reader stops typing. Until then the answer before stays, and a failure leaves nothing.
 * @template T @param {string} query @param {T} nothing @param {() => Promise<T>} ask
 */
export function useAnswer(query, nothing, ask) {
  const [last, setLast] = useState({ query: /** @type {string | null} */ (null), found: nothing, error: "" });
  useEffect(() => {
    let isWanted = true;
    const take = (/** @type {T} */ found, error = "") => isWanted && setLast({ query, found, error });
    const timer = setTimeout(() => ask().then(take, ({ message }) => take(nothing, message)), query === "" ? 0 : ASK_AFTER_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [query]);
  /** Take a longer answer to the same query. @param {Promise<T>} longer */
  const extend = async (longer) => {
    const change = await longer.then((found) => ({ found, error: "" }), ({ message }) => ({ error: message }));
    setLast((now) => (now === last ? { ...last, ...change } : now));
  };
  return { ...last, isKnown: last.query === query, extend };
}
