// Runs before the page is drawn: the colours of the system, unless the person chose; the choice is sent at once.
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    if (root.dataset.theme === "auto") root.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
  };
  follow();
  dark.addEventListener("change", follow);
  document.addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector("[data-theme-form]");
    if (!form) return;
    form.querySelector("[data-theme-button]").hidden = true;
    form.querySelector("select").addEventListener("change", () => form.requestSubmit());
  });
})();
