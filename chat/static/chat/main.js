import { effect } from "@preact/signals";
import { render } from "preact";
import { RealtimeClient } from "realtime/client";
import { watchPage } from "realtime/page-watch";
import { reachableAt } from "realtime/reachable";
import { _ } from "realtime/texts";

import { placeOf } from "./lib/room-list.js";
import { BrowserStorage } from "./state/storage.js";
import { ChatStore } from "./state/store.js";
import { App } from "./view/app.js";
import { loadTheRest } from "./view/lazy.js";
import { html } from "./view/html.js";
/** @import {Message, RoomStore} from "./types.js" */

const SIGN_IN_AGAIN_MS = 10_000;
const CLOCK_MS = 30_000;
// A hidden page has no frames.
const FRAME_MAX_MS = 100;
// A busy page is never idle.
const IDLE_MAX_MS = 2000;
const NOT_THERE = _("You are not in the room of that address.");

const root = /** @type {HTMLElement} */ (document.getElementById("main"));
const { socketPath, healthPath, loginPath, tenantSlug, tenantName, filesMax, fileBytesMax } = root.dataset;
const given = (/** @type {string} */ id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const me = given("profile");

const place = placeOf(location.hash);

const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${socketPath}`;
const client = new RealtimeClient(url, { isReachable: reachableAt(healthPath ?? "/") });
const store = new ChatStore({
  client,
  me,
  tenant: { slug: tenantSlug ?? "", name: tenantName ?? "" },
  rooms: given("room-list"),
  roomId: place?.id,
  storage: new BrowserStorage(`${tenantSlug}/${me.id}`),
  fileLimits: { filesMax: Number(filesMax), bytesMax: Number(fileBytesMax) },
  nextFrame,
  notify,
});

client.on("unauthenticated", signIn);
// In another tab somebody else may have signed in while this one was cut off. Nothing is sent before the welcome.
client.on("welcome", ({ user }) => {
  if (user?.id === me.id) return;
  client.stop();
  signIn();
});
if (place) go(place);
addressRooms();
const lookAgain = () => store.setAttentive(document.visibilityState === "visible" && document.hasFocus());
for (const event of ["focus", "blur", "pageshow"]) addEventListener(event, lookAgain);
document.addEventListener("visibilitychange", lookAgain);
for (const event of ["pointermove", "pointerdown", "wheel", "keydown"]) addEventListener(event, () => store.activity.touch(), { passive: true });
setInterval(() => (store.today.value = new Date().toDateString()), CLOCK_MS);

root.replaceChildren();
render(html`<${App} store=${store} />`, root);
watchPage(client);
store.start();
lookAgain();
document.documentElement.dataset.started = "";
// Not before the messages are there, and with each connection until nothing is missing. Safari has no requestIdleCallback.
const stopLoading = effect(() => {
  if (store.isOnline.value && !store.isStarting.value) "requestIdleCallback" in window ? requestIdleCallback(loadLater, { timeout: IDLE_MAX_MS }) : setTimeout(loadLater);
});

async function loadLater() {
  if (await loadTheRest()) stopLoading();
}

/** Tell about a message outside of the page, if the reader has allowed it. @param {RoomStore} room @param {Message} message */
function notify(room, message) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  // Without a network the title and the icon tell of it.
  import("./view/notifications.js").then(({ show }) => show(store, room, message), () => {});
}

/** Call once, before the next frame is drawn. @param {() => void} act */
function nextFrame(act) {
  const once = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    act();
  };
  const frame = requestAnimationFrame(once);
  const timer = setTimeout(once, FRAME_MAX_MS);
}

/** Each room has its address: reload, bookmarks, links and Back lead to it. */
function addressRooms() {
  let isFirst = true;
  effect(() => {
    const id = store.currentId.value;
    if (id === null) return;
    // The first room takes the place of an address that had none.
    if (id !== placeOf(location.hash)?.id) history[isFirst ? "replaceState" : "pushState"](null, "", `#room-${id}`);
    isFirst = false;
  });
  const follow = () => {
    const to = placeOf(location.hash);
    if (to === null || go(to)) return;
    history.replaceState(null, "", store.current.value ? `#room-${store.currentId.value}` : location.pathname);
  };
  for (const event of ["popstate", "hashchange"]) addEventListener(event, follow);
}

/** Go to the place of an address, or offer to join the room, or say why not. @param {{id: number, seq: number | null}} to */
function go({ id, seq }) {
  // Browsers tell of an address by two events. With the second it may have been replaced already.
  if (!seq && id === store.currentId.value) return true;
  const isThere = store.select(id, seq);
  const room = isThere ? undefined : store.joinable.value.find((each) => each.id === id);
  store.notice.value = isThere || room ? "" : NOT_THERE;
  if (room) store.show("JoinRoom", { room, seq });
  return isThere;
}

/** Open the sign-in page, which leads back to the same room. Unsent messages and drafts stay stored. */
function signIn() {
  const KEY = "rockstar.signed-out";
  const lastMs = Number(sessionStorage.getItem(KEY));
  sessionStorage.setItem(KEY, String(Date.now()));
  const next = encodeURIComponent(location.pathname + location.hash);
  // If the page is signed in but the socket is not, a redirect would loop.
  if (Date.now() - lastMs > SIGN_IN_AGAIN_MS) location.assign(`${loginPath}?next=${next}`);
}
