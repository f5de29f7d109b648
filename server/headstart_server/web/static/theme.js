// Sets the theme before anything is painted: the one that was chosen here, else the system's.
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("headstart-theme");
  } catch {
    // storage is off: the system's theme holds
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
