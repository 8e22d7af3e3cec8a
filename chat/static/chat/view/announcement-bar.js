import { _ } from "realtime/texts";

import { html } from "./html.js";

/** @import {ChatStore} from "../types.js" */

/** The newest announcement of an operator, until the reader closes it. @param {{store: ChatStore}} props */
export function AnnouncementBar({ store }) {
  const banner = store.banner.value;
  return html`
    <div class="announcement-bar" role="status" data-level=${banner?.level} hidden=${banner === null}>
      ${banner && html`
        <span>${banner.text}</span>
        <button type="button" class="button small" onClick=${() => (store.banner.value = null)}>${_("Close")}</button>`}
    </div>`;
}
