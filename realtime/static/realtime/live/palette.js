import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { _ } from "../texts.js";
import { entriesOf, moved, viewsLike } from "./finding.js";
import { html } from "./html.js";

const FOUND_SIZE = 5;
const WAIT_MS = 200;

/**
 * Finds a user, topic, connection, tenant or view, and goes there.
 * @param {{page: import("./use-list.js").Page, names: Record<string, string>, onClose: () => void}} props
 */
export function Palette({ page, names, onClose }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const { entries, words } = useFound(page, names, text.trim());
  // Before the next key: it would go to the page below.
  useLayoutEffect(() => dialog.current?.showModal(), []);
  useEffect(() => setChosen(0), [entries]);
  const follow = (/** @type {import("./finding.js").Entry} */ entry) => {
    dialog.current?.close();
    location.hash = entry.hash;
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    // Safari ends the composition before its Enter, with this code.
    if (event.isComposing || event.keyCode === 229) return;
    if (step !== undefined) setChosen(moved(chosen, step, entries.length));
    else if (event.key === "Enter" && entries[chosen]) follow(entries[chosen]);
    else return;
    event.preventDefault();
  };
  return html`
    <dialog ref=${dialog} class="palette" aria-label=${_("Find")} onClose=${onClose}>
      <input type="text" role="combobox" aria-label=${_("User, topic, connection, tenant")} placeholder=${_("User, topic, connection, tenant")}
        aria-expanded="true" aria-controls="found" aria-autocomplete="list" aria-activedescendant=${entries[chosen] ? `found-${chosen}` : undefined}
        autocomplete="off" spellcheck=${false} maxlength="255" value=${text}
        onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${onKeyDown} />
      <ul id="found" role="listbox" aria-label=${_("Found")}>${entries.map((entry, index) => html`
        <li key=${entry.key} id=${`found-${index}`} role="option" aria-selected=${index === chosen} onClick=${() => follow(entry)}>
          <span class="kind">${entry.kind}</span><span class="label">${entry.label}</span><span class="hint">${entry.hint}</span>
        </li>`)}</ul>
      <p role="status">${words}</p>
    </dialog>`;
}

/** Open the palette with Ctrl or Cmd and K. @param {() => void} open */
export function usePaletteKey(open) {
  useEffect(() => {
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      open();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}

/**
 * @param {import("./use-list.js").Page} page
 * @param {Record<string, string>} names
 * @param {string} text
 * @returns {{entries: import("./finding.js").Entry[], words: string}}
 */
function useFound(page, names, text) {
  const isOfAll = page.config.operator_is_of_all;
  const [found, setFound] = useState({ entries: entriesOf({ views: viewsLike(names, "") }, isOfAll), words: "" });
  useEffect(() => {
    const views = viewsLike(names, text);
    if (text === "") return void setFound({ entries: entriesOf({ views }, isOfAll), words: "" });
    const leaving = new AbortController();
    const timer = setTimeout(async () => {
      const asked = await Promise.allSettled(questionsOf(page, text).map(([path, params]) => page.api.get(path, params, leaving.signal)));
      if (leaving.signal.aborted) return;
      const [connections, topics, users, tenants] = asked.map((each) => (each.status === "fulfilled" ? each.value.results.slice(0, FOUND_SIZE) : []));
      const entries = entriesOf({ views, users, tenants, topics, connections }, isOfAll);
      const failed = asked.filter(({ status }) => status === "rejected").length;
      setFound({ entries, words: failed > 0 ? _("Some could not be asked.") : entries.length === 0 ? _("Nothing found.") : "" });
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [text]);
  return found;
}

/**
 * @param {import("./use-list.js").Page} page
 * @param {string} q
 * @returns {[string, Record<string, string>][]}
 */
function questionsOf({ config }, q) {
  const page_size = String(FOUND_SIZE);
  return [
    ["connections/", { q, page_size }],
    ["topics/", { q, page_size }],
    [config.find_path, { kind: "user", q }],
    ...(config.operator_is_of_all ? [/** @type {[string, Record<string, string>]} */ ([config.find_path, { kind: "tenant", q }])] : []),
  ];
}
