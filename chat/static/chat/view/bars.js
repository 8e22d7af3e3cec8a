import { useEffect, useState } from "preact/hooks";
import { _, ngettext } from "realtime/texts";

import { html } from "./html.js";
import { waitingCount } from "../lib/outbox.js";
/** @import {ChatStore} from "../types.js" */

// Shorter interruptions are not shown.
const PATIENCE_MS = 2_000;

/** What stands above the room: the state of the connection, and what an operator announces. @param {{store: ChatStore}} props */
export const Bars = ({ store }) => html`<${ConnectionBar} store=${store} /><${AnnouncementBar} store=${store} />`;

/** The newest announcement of an operator, until the reader closes it. `Announcer` reads it out. @param {{store: ChatStore}} props */
function AnnouncementBar({ store }) {
  const banner = store.banner.value;
  return html`
    <div class="bar" data-level=${banner?.level} hidden=${banner === null}>
      ${banner && html`
        <span>${banner.text}</span>
        <button type="button" class="button small" onClick=${() => (store.banner.value = null)}>${_("Close")}</button>`}
    </div>`;
}

/** Says that the connection is lost, when the next retry is, and that nothing typed is lost. @param {{store: ChatStore}} props */
function ConnectionBar({ store }) {
  const state = store.connection.value;
  const isLate = useLateness(state.name !== "online");
  const isShown = isLate || state.name === "stopped";
  const waiting = waitingCount(store.sender.outbox.value);
  return html`
    <div class="bar connection-bar" role="status" data-state=${state.name} hidden=${!isShown}>
      ${isShown && html`
        <span>${words(state)}</span>
        ${state.name === "waiting" && html`<${Countdown} untilMs=${state.retryAtMs} />`}
        ${waiting > 0 && html`<span class="connection-waiting">${ngettext("{count} message waits to be sent.", "{count} messages wait to be sent.", waiting)}</span>`}
        ${state.name === "stopped"
          ? html`<button type="button" class="button small" onClick=${() => location.reload()}>${_("Reload the page")}</button>`
          : html`<button type="button" class="button small" onClick=${() => store.client.reconnectNow()}>${_("Reconnect now")}</button>`}`}
    </div>`;
}

/** @param {import("realtime/client").State} state */
function words(state) {
  if (state.name === "offline") return _("You are offline.");
  if (state.name === "waiting") return _("The connection is lost.");
  if (state.name !== "stopped") return _("Connecting…");
  // An operator's reason begins with a word for the client.
  const reason = state.reason?.replace(/^(stop|reconnect): /, "");
  return reason ? _("The server ended the connection: {reason}.", { reason }) : _("The server ended the connection.");
}

/** Whether a condition has been true for some time. @param {boolean} isSo */
function useLateness(isSo) {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (!isSo) return undefined;
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isSo]);
  return isSo && isLate;
}

/** The seconds left. They are visible, but not read out every second. @param {{untilMs: number}} props */
function Countdown({ untilMs }) {
  const [nowMs, setNowMs] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.ceil((untilMs - nowMs) / 1000));
  return html`<span aria-hidden="true">${_("Trying again in {seconds} s.", { seconds })}</span>`;
}
