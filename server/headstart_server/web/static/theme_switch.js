// The button that switches between light and dark, and who is told of it.

const STORED = "headstart-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

/** Returns whether the page is dark now. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

/** Calls `listener` after each change of the theme, until `signal` aborts. */
export function onTheme(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/** Makes a button switch the theme; the choice is kept in this browser. */
export function installSwitch(button) {
  const show = () => {
    button.textContent = isDark() ? "Light theme" : "Dark theme";
    for (const listener of listeners) listener();
  };
  button.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(STORED, next);
    } catch {
      // storage is off: the choice holds until the page is left
    }
    show();
  });
  system.addEventListener("change", show);
  show();
}
