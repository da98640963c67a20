// Runs before the page is drawn, so that a chosen theme does not flash.
"use strict";
(() => {
  const KEY = "clapstick-theme";
  const THEMES = ["system", "light", "dark"];
  const root = document.documentElement;
  root.classList.add("scripted");
  let theme = "system";
  try {
    theme = localStorage.getItem(KEY) || "system";
  } catch {
    // Storage can be forbidden for files; the theme then lasts as long as the page.
  }
  const apply = () => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      button.textContent = `Theme: ${theme}`;
    };
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // As above.
      }
      apply();
      show();
    });
  });
})();
