import { useEffect } from "preact/hooks";
/** @import {ChatStore} from "../types.js" */

/** The icon of the tab says how much is unread. @param {{store: ChatStore}} props */
export function TabIcon({ store }) {
  const { count, isPersonal } = store.attention.value;
  useEffect(() => {
    const icon = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[rel=icon]"));
    if (icon) icon.href = iconOf(count, isPersonal);
  }, [count, isPersonal]);
  return null;
}

/** The site's icon with the number of messages that address the reader, or with a dot for other unread ones. @param {number} count @param {boolean} isPersonal */
function iconOf(count, isPersonal) {
  const mark = isPersonal
    ? `<text x="22" y="28" font-size="${count > 9 ? 14 : 17}" font-weight="bold" font-family="sans-serif" text-anchor="middle" fill="#fff">${count > 99 ? "99" : count}</text>`
    : "";
  const badge = count > 0 ? `<circle cx="22" cy="22" r="${isPersonal ? 10 : 7}" fill="${isPersonal ? "#d3291f" : "#fff"}" stroke="#5b3df5" stroke-width="2"/>${mark}` : "";
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#5b3df5"/><path d="M16 5.5l2.9 6.6 7.1.7-5.4 4.8 1.6 7-6.2-3.7-6.2 3.7 1.6-7L6 12.8l7.1-.7z" fill="#fff"/>${badge}</svg>`)}`;
}
