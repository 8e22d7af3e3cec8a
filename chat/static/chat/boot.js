// A classic script, loaded before the modules: says what to do if one of them does not load or fails.
(() => {
  // A slow network loads the modules for some seconds.
  const PATIENCE_MS = 30_000;
  const hasStarted = () => "started" in document.documentElement.dataset;

  function fail() {
    if (hasStarted()) return;
    document.getElementById("chat-starting")?.setAttribute("hidden", "");
    document.getElementById("chat-failed")?.removeAttribute("hidden");
    // The rooms that came with the page are links. Each loads the page again, in that room.
    addEventListener("hashchange", () => location.reload());
  }

  // Errors of elements do not bubble, but they are captured.
  addEventListener("error", (event) => (event.target instanceof HTMLScriptElement || event.target === window) && fail(), true);
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("chat-reload")?.addEventListener("click", () => location.reload());
    setTimeout(fail, PATIENCE_MS);
  });
})();
