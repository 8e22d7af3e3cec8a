/** The reader's small choices in this browser: emoji used last, the skin tone, the density. */

/** @template T @param {string} name @param {T} otherwise @returns {T} */
export function choiceOf(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`rockstar.${name}`) ?? "") ?? otherwise;
  } catch {
    // Never chosen, or the browser stores nothing.
    return otherwise;
  }
}

/** @param {string} name @param {unknown} value */
export function choose(name, value) {
  try {
    localStorage.setItem(`rockstar.${name}`, JSON.stringify(value));
  } catch {
    // The browser stores nothing: the choice lasts as long as the page.
  }
}
