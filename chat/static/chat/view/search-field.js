import { html } from "./html.js";

/**
 * A field whose text is a query at once.
 * @param {{id: string, label: string, placeholder?: string, query: string, onQuery: (query: string) => void, [attribute: string]: any}} props
 */
export const SearchField = ({ id, label, placeholder = label, query, onQuery, ...attributes }) => html`
  <label class="visually-hidden" for=${id}>${label}</label>
  <input id=${id} class="input" type="text" autocomplete="off" dir="auto" placeholder=${placeholder} value=${query}
    onInput=${(/** @type {any} */ event) => onQuery(event.target.value)} ...${attributes} />`;
