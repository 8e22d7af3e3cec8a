import { effect } from "@preact/signals";
import { render } from "preact";
import { RealtimeClient } from "realtime/client";
import { watchPage } from "realtime/page-watch";
import { reachableAt } from "realtime/reachable";

import { App } from "./view/app.js";
import { html } from "./view/html.js";
import { ChatStore } from "./state/store.js";

const SIGN_IN_AGAIN_MS = 10_000;

const root = /** @type {HTMLElement} */ (document.getElementById("main"));
const { socketPath, healthPath, loginPath, userId, username, tenantSlug, tenantName } = root.dataset;
const rooms = JSON.parse(document.getElementById("room-list")?.textContent ?? "[]");

const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${socketPath}`;
const client = new RealtimeClient(url, { isReachable: reachableAt(healthPath ?? "/") });
const store = new ChatStore({
  client,
  me: { id: Number(userId), username: username ?? "" },
  tenant: { slug: tenantSlug ?? "", name: tenantName ?? "" },
  rooms,
  roomId: Number(location.hash.match(/^#room-(\d+)$/)?.[1]) || null,
});

client.on("unauthenticated", signIn);
// A reload or a bookmark opens the same room.
effect(() => {
  if (store.currentId.value !== null) history.replaceState(null, "", `#room-${store.currentId.value}`);
});
const lookAgain = () => store.setAttentive(document.visibilityState === "visible" && document.hasFocus());
for (const event of ["focus", "blur", "pageshow"]) addEventListener(event, lookAgain);
document.addEventListener("visibilitychange", lookAgain);

root.replaceChildren();
render(html`<${App} store=${store} />`, root);
watchPage(client);
store.start();
lookAgain();

/** Open the sign-in page. Unsent messages stay stored for this tab. */
function signIn() {
  const KEY = "rockstar.signed-out";
  const lastMs = Number(sessionStorage.getItem(KEY));
  sessionStorage.setItem(KEY, String(Date.now()));
  // If the page is signed in but the socket is not, a redirect would loop.
  if (Date.now() - lastMs > SIGN_IN_AGAIN_MS) location.assign(`${loginPath}?next=${encodeURIComponent(location.pathname)}`);
}
