// Clocks of critical results that run between two looks at the server: its time counts, not the browser's.
(() => {
  const DAY = 86400;

  function words(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const [days, hours] = [Math.floor(whole / DAY), Math.floor((whole % DAY) / 3600)];
    const [minutes, rest] = [Math.floor((whole % 3600) / 60), whole % 60];
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    return `${minutes} min ${String(rest).padStart(2, "0")} s`;
  }

  function tick(list) {
    if (!list.begun) list.begun = { server: Date.parse(list.dataset.now), here: performance.now() };
    const now = list.begun.server + performance.now() - list.begun.here;
    list.querySelectorAll("[data-since]").forEach((one) => {
      one.textContent = words((now - Date.parse(one.dataset.since)) / 1000);
    });
    list.querySelectorAll("[data-until]").forEach((one) => {
      const left = (Date.parse(one.dataset.until) - now) / 1000;
      one.textContent = left > 0 ? `in ${words(left)}` : "now";
    });
  }

  const all = () => document.querySelectorAll("[data-now]").forEach(tick);
  all();
  window.setInterval(all, 1000);
})();
