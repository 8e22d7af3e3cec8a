// A classic script, loaded before the modules: says what to do if one of them does not load or fails.
(() => {
  // A slow network loads the modules for some seconds.
  const PATIENCE_MS = 30_000;
  const DENSITY = "rockstar.density";
  const hasStarted = () => "started" in document.documentElement.dataset;

  /** Show messages as they were shown last, or as the reader chooses now. @param {string} [chosen] */
  function density(chosen) {
    let value = chosen ?? "wide";
    try {
      if (chosen) localStorage.setItem(DENSITY, chosen);
      value = localStorage.getItem(DENSITY) ?? value;
    } catch {
      // The browser stores nothing: the choice lasts as long as the page.
    }
    document.documentElement.dataset.density = value;
    document.getElementById("density")?.setAttribute("aria-pressed", String(value === "compact"));
  }

  function fail() {
    if (hasStarted()) return;
    document.getElementById("chat-starting")?.setAttribute("hidden", "");
    document.getElementById("chat-failed")?.removeAttribute("hidden");
    // The rooms that came with the page are links. Each loads the page again, in that room.
    addEventListener("hashchange", () => location.reload());
  }

  // Before anything is drawn.
  density();
  // Errors of elements do not bubble, but they are captured.
  addEventListener("error", (event) => (event.target instanceof HTMLScriptElement || event.target === window) && fail(), true);
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("chat-reload")?.addEventListener("click", () => location.reload());
    setTimeout(fail, PATIENCE_MS);
    const isCompact = () => document.documentElement.dataset.density === "compact";
    document.getElementById("density")?.addEventListener("click", () => density(isCompact() ? "wide" : "compact"));
    density();
  });
})();
