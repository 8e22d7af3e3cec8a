// A plain script, not a module, so that it runs before the first paint and the wrong theme does not flash.
(() => {
  const KEY = "rockstar.theme";
  const root = document.documentElement;
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is blocked: the theme is kept only as long as the page
    }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark.matches;
  }

  /** @param {string | null} theme */
  function apply(theme) {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  function toggle() {
    const theme = isDark() ? "light" : "dark";
    // The theme follows the system's setting again.
    const choice = (theme === "dark") === systemIsDark.matches ? null : theme;
    apply(choice);
    try {
      if (choice) localStorage.setItem(KEY, choice);
      else localStorage.removeItem(KEY);
    } catch {
      // as above
    }
  }

  /** Label the button with its next action. */
  function label() {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.setAttribute("aria-pressed", String(isDark()));
    }
  }

  apply(stored());
  addEventListener("storage", (event) => event.key === KEY && (apply(event.newValue), label()));
  systemIsDark.addEventListener("change", label);
  addEventListener("DOMContentLoaded", label);
  addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-theme-toggle]")) {
      toggle();
      label();
    }
  });
})();
