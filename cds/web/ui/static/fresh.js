// Keeps parts of a page fresh: <div data-fresh="/path" data-every="5"> takes what the path answers as its content.
// Focus and scroll stay; nothing is asked while the tab is hidden, somebody types in the part, or has something open in
// it. A button before the part pauses it (WCAG 2.2, 2.2.2).
(() => {
  const PAUSED = "data-fresh-off";
  const shown = new WeakMap();

  function mark(part) {
    const active = document.activeElement;
    if (!active || !part.contains(active)) return null;
    if (active.id) return `#${CSS.escape(active.id)}`;
    const key = active.closest("[data-key]");
    if (!key) return null;
    const within = key === active ? "" : ` ${active.localName}`;
    return `[data-key="${CSS.escape(key.dataset.key)}"]${within}`;
  }

  function isBusy(part) {
    const active = document.activeElement;
    const typing = active && part.contains(active) && active.matches("input, textarea, select");
    return typing || part.hasAttribute(PAUSED) || part.querySelector("dialog[open], details[open]") !== null;
  }

  function replace(part, html) {
    const focused = mark(part);
    const { scrollX, scrollY } = window;
    const inner = Array.from(part.querySelectorAll(".scroll-x"), (one) => one.scrollLeft);
    part.innerHTML = html;
    part.querySelectorAll(".scroll-x").forEach((one, index) => { one.scrollLeft = inner[index] ?? 0; });
    window.scrollTo(scrollX, scrollY);
    if (focused) part.querySelector(focused)?.focus({ preventScroll: true });
    part.dispatchEvent(new CustomEvent("fresh", { bubbles: true }));
  }

  async function ask(part) {
    if (document.hidden || isBusy(part)) return;
    try {
      const answer = await fetch(part.dataset.fresh, { headers: { "X-Fresh": "1" }, credentials: "same-origin", redirect: "error" });
      if (answer.status === 401) { window.location.reload(); return; }
      part.classList.toggle("stale", !answer.ok);
      if (!answer.ok) return;
      const html = await answer.text();
      if (isBusy(part) || shown.get(part) === html) return;
      shown.set(part, html);
      replace(part, html);
    } catch {
      part.classList.add("stale");
    }
  }

  function offerPause(part) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm btn-outline-secondary fresh-pause d-print-none";
    const say = () => { button.textContent = part.hasAttribute(PAUSED) ? "Resume updates" : "Pause updates"; };
    button.addEventListener("click", () => {
      part.toggleAttribute(PAUSED);
      say();
    });
    say();
    part.before(button);
  }

  function keep(part) {
    offerPause(part);
    const every = Math.max(2, Number(part.dataset.every) || 5) * 1000;
    let asking = false;
    const once = async () => {
      if (asking) return;
      asking = true;
      await ask(part);
      asking = false;
    };
    window.setInterval(once, every);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) once(); });
  }

  document.querySelectorAll("[data-fresh]").forEach(keep);
})();
