// The worklist: arrow keys go from study to study, filters that are not set stay out of the address, news are told.
(() => {
  const CRITICAL = "0";

  function links() {
    return Array.from(document.querySelectorAll(".worklist th[scope='row'] a"));
  }

  // Only from a study's own link: everywhere else the keys scroll, as they do.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const all = links();
    const at = all.indexOf(document.activeElement);
    const next = at < 0 ? null : all[at + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  const filters = document.querySelector("[data-filters]");
  filters?.addEventListener("submit", () => {
    filters.querySelectorAll("select").forEach((one) => { one.disabled = one.value === ""; });
  });
  // A page that the browser brings back from its memory has its fields again.
  window.addEventListener("pageshow", () => filters?.querySelectorAll("select").forEach((one) => { one.disabled = false; }));

  const list = document.querySelector("[data-worklist]");
  const news = document.querySelector("[data-news]");
  const title = document.title;

  function critical() {
    return new Set(Array.from(list.querySelectorAll(`tr[data-urgency="${CRITICAL}"]`), (one) => one.dataset.key));
  }

  if (list && news) {
    let known = critical();
    list.addEventListener("fresh", () => {
      const now = critical();
      const added = Array.from(now).filter((one) => !known.has(one)).length;
      if (added) news.textContent = added === 1 ? "One more critical study on the list." : `${added} more critical studies on the list.`;
      document.title = now.size ? `(${now.size} critical) ${title}` : title;
      known = now;
    });
  }
})();
