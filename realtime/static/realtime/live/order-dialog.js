import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { count } from "../dashboard-format.js";
import { _, ngettext } from "../texts.js";
import { newKey } from "./api.js";
import { html } from "./html.js";
import {
  addressOf, BAN_HOURS, bodyOf, closesOf, CONSEQUENCES, isOffered, LEVELS, NO_ANSWERS, OPERATIONS, outcomeOf, REASON_MAX_CHARS, TEXT_MAX_CHARS,
} from "./operations.js";

/**
 * A button for each operation that the operator may order.
 * @param {{names: string[], target: import("./operations.js").Target, page: import("./use-list.js").Page & {order: (order: import("./operations.js").Order) => void}}} props
 */
export function OrderButtons({ names, target, page }) {
  return names.filter((name) => isOffered(name, page.config)).map((name) => html`
    <button type="button" key=${name} class="order" aria-label=${`${OPERATIONS[name].label} ${target.label}`}
      onClick=${() => page.order({ name, target })}>${OPERATIONS[name].label}</button>`);
}

/**
 * Asks once for confirmation and a reason, and shows the outcome.
 * @param {{page: import("./use-list.js").Page, order: import("./operations.js").Order, onEnd: (outcome: string | null) => void}} props
 */
export function OrderDialog({ page, order, onEnd }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [answers, setAnswers] = useState(NO_ANSWERS);
  const [isBusy, setIsBusy] = useState(false);
  const [fault, setFault] = useState(/** @type {import("./api.js").ApiError | null} */ (null));
  // One key for this question: a second try does nothing twice. Other answers are another request.
  const key = useRef(newKey());
  const outcome = useRef(/** @type {string | null} */ (null));
  const operation = OPERATIONS[order.name];
  const reach = useReach(page, order, answers);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const answer = (/** @type {Partial<import("./operations.js").Answers>} */ change) => {
    key.current = newKey();
    setFault(null);
    setAnswers({ ...answers, ...change });
  };
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setIsBusy(true);
    try {
      const { method, path } = addressOf(order);
      outcome.current = outcomeOf(order, await page.api.order(method, path, bodyOf(order, answers, Date.now()), key.current));
      // Closing gives the focus back to where it was.
      dialog.current?.close();
    } catch (error) {
      setFault(/** @type {any} */ (error));
      setIsBusy(false);
    }
  };
  return html`
    <dialog ref=${dialog} class="order-dialog" aria-labelledby="order-title" onClose=${() => onEnd(outcome.current)}>
      <form onSubmit=${send}>
        <h2 id="order-title">${operation.question(order.target)}</h2>
        <p class="where">${whereOf(order, page.config)} ${CONSEQUENCES[order.name] ?? ""}</p>
        <${Fields} fields=${operation.fields} answers=${answers} answer=${answer} />
        <label>${_("Reason")} <small>${order.name === "disconnect" || order.name === "ban" ? _("kept in the audit log, shown to clients") : _("kept in the audit log")}</small>
          <input type="text" maxlength=${REASON_MAX_CHARS} value=${answers.reason} onInput=${(/** @type {any} */ event) => answer({ reason: event.target.value })} />
        </label>
        <p class="reach" role="status">${reach}</p>
        <p class="fault" role="alert">${fault && [fault.message, ...Object.entries(fault.fields ?? {}).map(([name, faults]) => `${name}: ${faults.join(" ")}`)].join(" ")}</p>
        <div class="buttons">
          <button type="button" onClick=${() => dialog.current?.close()}>${_("Cancel")}</button>
          <button type="submit" class="danger" disabled=${isBusy}>${isBusy ? _("Working") : operation.label}</button>
        </div>
      </form>
    </dialog>`;
}

/** @param {{fields: string[], answers: import("./operations.js").Answers, answer: (change: Partial<import("./operations.js").Answers>) => void}} props */
function Fields({ fields, answers, answer }) {
  return html`
    ${fields.includes("text") && html`<label>${_("Text")}
      <textarea required rows="3" maxlength=${TEXT_MAX_CHARS} value=${answers.text} onInput=${(/** @type {any} */ event) => answer({ text: event.target.value })}></textarea></label>`}
    ${fields.includes("level") && html`<label>${_("Level")}
      <select value=${answers.level} onChange=${(/** @type {any} */ event) => answer({ level: event.target.value })}>
        ${LEVELS.map((level) => html`<option key=${level}>${level}</option>`)}</select></label>`}
    ${fields.includes("hours") && html`<label>${_("For")}
      <select value=${answers.hours} onChange=${(/** @type {any} */ event) => answer({ hours: Number(event.target.value) })}>
        ${BAN_HOURS.map(([hours, label]) => html`<option key=${hours} value=${hours}>${label}</option>`)}</select></label>`}
    ${fields.includes("reconnect") && html`<label class="check">
      <input type="checkbox" checked=${answers.reconnect} onChange=${(/** @type {any} */ event) => answer({ reconnect: event.target.checked })} />
      ${_("Clients may come back")}</label>`}
    ${fields.includes("text") && answers.text !== "" && html`<div class="preview" data-level=${answers.level}><small>${_("Preview")}</small><p>${answers.text}</p></div>`}`;
}

/**
 * The number of connections that the order concerns now.
 * @param {import("./use-list.js").Page} page
 * @param {import("./operations.js").Order} order
 * @param {import("./operations.js").Answers} answers
 */
function useReach(page, order, answers) {
  const [words, setWords] = useState("");
  const isAnnouncement = order.name === "announce";
  const hasText = answers.text.trim() !== "";
  useEffect(() => {
    const leaving = new AbortController();
    const closes = closesOf(order);
    const tell = async () => {
      if (isAnnouncement && hasText) {
        const body = { ...bodyOf(order, { ...answers, text: "preview" }, Date.now()), preview: true };
        const answer = await page.api.order("POST", "announce/", body, newKey());
        if (!leaving.signal.aborted) setWords(ngettext("It would reach {count} connection now.", "It would reach {count} connections now.", answer.count, count(answer.count)));
      } else if (closes !== null) {
        const answer = await page.api.get("connections/", { ...closes, page_size: "1" }, leaving.signal);
        setWords(ngettext("This concerns {count} connection now.", "This concerns {count} connections now.", answer.count, count(answer.count)));
      }
    };
    tell().catch((error) => leaving.signal.aborted || setWords(_("How many it concerns cannot be told: {error}", { error: error.message })));
    return () => leaving.abort();
  }, [order, hasText]);
  return isAnnouncement && !hasText ? "" : words;
}

/**
 * @param {import("./operations.js").Order} order
 * @param {any} config
 */
function whereOf({ target }, config) {
  if (["connection", "node", "ban", "tenant"].includes(target.kind)) return "";
  return target.tenant === null && config.operator_is_of_all ? _("On all tenants.") : _("On {tenant}.", { tenant: target.tenant ?? config.host_tenant });
}
