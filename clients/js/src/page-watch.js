const TICK_MS = 5_000;
// A tick this late means that the machine slept or the page was frozen.
const SLEEP_MS = 15_000;

/**
 * Tells a client about changes of the page: offline, online, visible again, awake again,
 * in use.
 * @param {import("./client.js").RealtimeClient} client
 * @returns {() => void} stops watching
 */
export function watchPage(client) {
  const watching = new AbortController();
  const options = { signal: watching.signal };
  addEventListener("offline", () => client.networkLost(), options);
  addEventListener("online", () => client.networkFound(), options);
  addEventListener("pageshow", (event) => event.persisted && client.checkNow(), options);
  for (const event of ["focus", "pointerdown"]) addEventListener(event, () => client.hurry(), { ...options, passive: true });
  addEventListener("keydown", (event) => event.key === "Enter" && client.hurry(), options);
  document.addEventListener("visibilitychange", () => document.hidden || client.checkNow(), options);

  let lastTick = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    if (now - lastTick > SLEEP_MS) client.checkNow();
    lastTick = now;
  }, TICK_MS);
  watching.signal.addEventListener("abort", () => clearInterval(timer));
  return () => watching.abort();
}
