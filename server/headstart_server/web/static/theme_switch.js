// The button that switches between light and dark, and who is told of it.

const STORED = "headstart-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

function isDark() {
  return document.documentElement.dataset.theme === "dark"; // which theme.js has set
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
