// Sets the theme before anything is painted, and when the system's changes: the one that was chosen here, else the system's.
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("headstart-theme");
    } catch {
      return null; // storage is off
    }
  };
  const set = () => {
    document.documentElement.dataset.theme = chosen() ?? (dark.matches ? "dark" : "light");
  };
  dark.addEventListener("change", set);
  set();
})();
