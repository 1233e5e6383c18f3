// The image viewer of a study: panes side by side, their tools, keys, findings and overlays.
// Without this script the page shows one picture of each series, with links to the others.

import { json } from "./viewer_data.js";
import { Pane } from "./viewer_pane.js";
import { TOOLS, button, element, helpDialog, round, seriesFrame } from "./viewer_parts.js";

const SAME_MM = 0.5;

class Viewer {
  constructor(section, study) {
    this.section = section;
    this.study = study;
    this.linked = true;
    this.offset = null;
    this.marksOn = true;
    this.build();
    this.panes = [this.makePane("Images of this study")];
    this.active = this.panes[0];
    this.listen();
    this.openSeries(this.panes[0], study.series[0]);
  }

  build() {
    this.tools = element("div", { class: "viewer-tools", role: "toolbar", "aria-label": "Tools of the viewer" });
    this.stage = element("div", { class: "viewer-stage" });
    this.status = element("p", { class: "viewer-status", role: "status", "aria-live": "polite" });
    this.findings = element("div", { class: "viewer-findings" });
    this.help = helpDialog();
    const keys = this.section.querySelector(".viewer-keys");
    keys.before(this.tools, this.stage, this.status, this.findings);
    this.section.append(this.help);
    this.section.classList.add("viewer-on");
    for (const plain of document.querySelectorAll("[data-viewer-plain]")) plain.hidden = true;
    this.makeTools();
  }

  makeTools() {
    this.presets = element("select", { class: "form-select form-select-sm", "aria-label": "Window", id: "viewer-window" });
    this.presets.addEventListener("change", () => this.preset(this.presets.value));
    this.tool = element("select", { class: "form-select form-select-sm", "aria-label": "What dragging does" });
    this.tool.append(...TOOLS.map(([value, text]) => element("option", { value }, `Drag: ${text}`)));
    this.tool.addEventListener("change", () => this.panes.forEach((pane) => { pane.tool = this.tool.value; }));
    this.tool.value = window.matchMedia("(pointer: coarse)").matches ? "scroll" : "window";
    this.beside = element("select", { class: "form-select form-select-sm", "aria-label": "Earlier study beside it" });
    this.beside.append(element("option", { value: "" }, "No earlier study beside"));
    this.study.priors.forEach((prior, n) => this.beside.append(...prior.series.map((series) => element(
      "option",
      { value: `${n}/${series.number}` },
      `${prior.day}: ${series.number} ${series.modality} ${series.description}`,
    ))));
    this.beside.addEventListener("change", () => this.compare(this.beside.value));
    this.link = element("input", { type: "checkbox", class: "form-check-input", id: "viewer-link", checked: true });
    this.link.addEventListener("change", () => this.setLinked(this.link.checked));
    const linkLabel = element("label", { class: "form-check-label", for: "viewer-link" }, "Scroll together");
    this.linkBox = element("div", { class: "form-check", hidden: true }, this.link, linkLabel);
    this.tools.append(this.presets, this.tool);
    this.tools.append(
      button("Invert", () => this.active.invert()),
      button("+", () => this.active.zoomBy(1.25), { "aria-label": "Larger" }),
      button("−", () => this.active.zoomBy(0.8), { "aria-label": "Smaller" }),
      button("Reset", () => this.active.restore()),
    );
    if (this.study.priors.length) this.tools.append(this.beside, this.linkBox);
    this.tools.append(button("Keys and help", () => this.help.showModal(), { "aria-haspopup": "dialog" }));
  }

  makePane(title) {
    const { frame, canvas, caption, slider } = seriesFrame(title);
    this.stage.append(frame);
    const pane = new Pane(frame, (one, what) => this.changed(one, what));
    pane.title = title;
    pane.slider = slider;
    pane.caption = caption;
    pane.tool = this.tool.value;
    pane.marksOn = this.marksOn;
    slider.addEventListener("input", () => { this.active = pane; pane.go(Number(slider.value)); });
    canvas.addEventListener("focus", () => { this.active = pane; this.told(); });
    canvas.addEventListener("keydown", (event) => this.pressed(event));
    return pane;
  }

  async openSeries(pane, series, k) {
    pane.listed = series;
    this.offset = null;
    await pane.open(series.pictures, k);
    pane.slider.max = String(pane.series ? pane.series.pictures.length : 1);
    if (pane === this.panes[0]) this.listFindings();
    else if (this.linked) this.sameWindow(this.panes[0]);
    this.alignOnce();
    this.changed(pane);
    this.told();
  }

  // --- two panes

  compare(value) {
    if (!value) {
      if (this.panes[1]) this.panes.pop().frame.remove();
      this.active = this.panes[0];
      this.linkBox.hidden = true;
      this.section.classList.remove("viewer-two");
      return;
    }
    const [prior, number] = value.split("/").map(Number);
    const study = this.study.priors[prior];
    if (!this.panes[1]) this.panes.push(this.makePane("Images of an earlier study"));
    this.linkBox.hidden = false;
    this.section.classList.add("viewer-two");
    this.panes[1].when = study.day;
    this.openSeries(this.panes[1], study.series.find((one) => one.number === number));
  }

  setLinked(linked) {
    this.linked = linked;
    this.link.checked = linked;
    this.offset = null;
    this.alignOnce();
    this.told();
  }

  /** Both have places in space and look from the same side: then millimetres lead, else the fraction of the stack. */
  get byPlace() {
    const [one, other] = this.panes.map((pane) => pane.current);
    if (!one || !other || !this.panes.every((pane) => pane.series.inSpace)) return false;
    return String(one.letters) === String(other.letters);
  }

  /** How the two lie to each other, from where they stand now; the reader puts them right and links again. */
  alignOnce() {
    const [one, other] = this.panes;
    if (!other || !one.current || !other.current || this.offset !== null) return;
    if (!this.byPlace) {
      this.offset = other.k / other.series.pictures.length - one.k / one.series.pictures.length;
      return;
    }
    const reach = (pane) => pane.series.pictures.map((shown) => shown.mm);
    const [mine, theirs] = [reach(one), reach(other)];
    const common = Math.min(Math.max(...mine), Math.max(...theirs)) - Math.max(Math.min(...mine), Math.min(...theirs));
    const whole = Math.max(...mine) - Math.min(...mine);
    if (this.linkedBefore || common < whole / 2) this.offset = other.current.mm - one.current.mm;
    else {
      this.offset = 0;
      this.follow(one);
    }
    this.linkedBefore = true;
  }

  follow(moved) {
    if (!this.linked || this.panes.length < 2 || this.offset === null) return;
    const [one, other] = this.panes;
    const led = moved === one ? other : one;
    if (!moved.current || !led.current) return;
    const sign = moved === one ? 1 : -1;
    if (!this.byPlace) {
      const part = moved.k / moved.series.pictures.length + sign * this.offset;
      led.go(part * led.series.pictures.length);
      return;
    }
    const wanted = moved.current.mm + sign * this.offset;
    const nearest = led.series.pictures.reduce((best, shown) => (
      Math.abs(shown.mm - wanted) < Math.abs(best.mm - wanted) - SAME_MM / 100 ? shown : best
    ));
    led.go(nearest.k);
  }

  // --- what is said

  changed(pane, what) {
    if (!this.panes || !pane.slider) return;
    const moved = pane.seen !== `${pane.listed && pane.listed.pictures}/${pane.k}`;
    pane.seen = `${pane.listed && pane.listed.pictures}/${pane.k}`;
    if (moved && pane === this.active) this.follow(pane);
    if (what === "window" && this.linked && pane === this.active) this.sameWindow(pane);
    this.label(pane);
    if (pane === this.active) this.told();
  }

  sameWindow(pane) {
    for (const other of this.panes) {
      const alike = other.series && pane.series && other.series.modality === pane.series.modality;
      if (other !== pane && alike && pane.window) {
        other.own = pane.own;
        other.window = { ...pane.window };
        other.render();
      }
    }
  }

  label(pane) {
    const { series, current } = pane;
    pane.slider.value = String(pane.k);
    pane.slider.setAttribute("aria-valuetext", series ? `picture ${pane.k} of ${series.pictures.length}` : "none");
    const sides = current && current.letters ? current.letters : ["", "", "", ""];
    ["left", "right", "top", "bottom"].forEach((side, n) => {
      pane.frame.querySelector(`[data-letter=${side}]`).textContent = sides[n];
    });
    if (!current) {
      pane.caption.textContent = pane.title;
      return;
    }
    const side = { L: "left", R: "right", B: "both sides" }[current.laterality] || current.laterality;
    const parts = [
      pane.when || this.study.day,
      `${series.number} ${series.modality} ${series.description}`.trim(),
      [side, current.view].filter(Boolean).join(" "),
      current.letters ? "" : "orientation not known",
      current.lossy ? "lossy compression" : "",
      series.unread.length ? `some images are missing here: ${series.unread.join("; ")}` : "",
    ];
    pane.caption.textContent = parts.filter(Boolean).join(" · ");
    pane.canvas.setAttribute("aria-label", `${pane.title}: ${pane.caption.textContent}, ${this.where(pane)}`);
  }

  where(pane) {
    const { current, series } = pane;
    const number = current.number === null ? "without a number" : `image ${current.number}`;
    const frame = current.frame > 1 ? `, frame ${current.frame}` : "";
    const place = current.mm === null ? "" : `, ${current.mm.toFixed(1)} mm`;
    return `picture ${pane.k} of ${series.pictures.length} (${number}${frame}${place})`;
  }

  told() {
    const pane = this.active;
    if (!pane.current) {
      this.status.textContent = pane.told || "";
      return;
    }
    const { window: shown } = pane;
    const grey = shown && !pane.own ? `window ${shown.name ? `${shown.name} ` : ""}C ${round(shown.center)} W ${round(shown.width)}` : "as the image says";
    const marks = pane.series.marks.filter((mark) => mark.pictures.includes(pane.k)).map((mark) => mark.text);
    const two = this.panes.length > 1 ? `, ${!this.linked ? "each scrolls by itself" : this.byPlace ? "scrolled together by position" : "scrolled together by fraction"}` : "";
    const parts = [this.where(pane), `${grey}${pane.inverted ? ", inverted" : ""}`, `zoom ${Math.round(pane.zoom * 100)} %${two}`, this.marksOn ? "" : "marks of AI off"].filter(Boolean);
    if (marks.length) parts.push(`here: ${marks.join("; ")}`);
    this.status.textContent = parts.join(" · ");
    this.listPresets(pane);
  }

  listPresets(pane) {
    const key = `${pane.listed.pictures}/${Boolean(pane.current.table)}/${pane.series.windows.length}`;
    if (this.presets.dataset.of !== key) {
      this.presets.dataset.of = key;
      const options = pane.series.windows.map((one, n) => element(
        "option", { value: String(n) }, `${n < 9 ? `${n + 1} ` : ""}${one.name}: C ${round(one.center)} W ${round(one.width)}`,
      ));
      const table = pane.current.table ? [element("option", { value: "own" }, "As the image says")] : [];
      this.presets.replaceChildren(...table, ...options, element("option", { value: "" }, "Own window"));
      this.presets.disabled = !options.length && !table.length;
    }
    const { window: shown } = pane;
    const chosen = pane.series.windows.findIndex((one) => shown && one.center === shown.center && one.width === shown.width);
    this.presets.value = pane.own ? "own" : chosen < 0 ? "" : String(chosen);
  }

  preset(value) {
    if (value === "own") this.active.setWindow(null);
    else if (value !== "") this.active.setWindow(this.active.series.windows[Number(value)]);
  }

  // --- findings and overlays of this study

  listFindings() {
    const pane = this.panes[0];
    this.findings.replaceChildren();
    if (!pane.series || !(pane.series.marks.length || pane.series.overlays.length)) return;
    this.findings.append(element("h3", { class: "h6" }, "Marks of AI on this series (preliminary)"));
    const list = element("ul", { class: "viewer-marks" });
    for (const mark of pane.series.marks) list.append(this.markItem(pane, mark));
    const nothing = "No finding is marked as present or measured on this series. That does not exclude one.";
    this.findings.append(pane.series.marks.length ? list : element("p", {}, nothing));
    if (pane.series.overlays.length) this.findings.append(this.overlayBox(pane));
  }

  markItem(pane, mark) {
    const jumps = mark.pictures.slice(0, 5).map((k) => button(`picture ${k}`, () => this.jump(pane, k), {
      "aria-label": `${mark.text}: go to picture ${k}`,
    }));
    return element("li", {}, `${mark.text} (${mark.model}) `, ...jumps);
  }

  overlayBox(pane) {
    const box = element("fieldset", { class: "viewer-overlays" }, element("legend", { class: "h6" }, "Drawn on the pictures"));
    for (const overlay of pane.series.overlays) {
      const labels = overlay.kind === "heat" ? [{ value: 0, name: overlay.name, colour: "#d55e00" }] : overlay.labels;
      labels.forEach((label) => box.append(this.overlayItem(pane, overlay, label)));
      box.append(button(`Where ${overlay.name} is largest`, () => this.largest(pane, overlay)));
    }
    const slider = element("input", { type: "range", class: "form-range", id: "viewer-opacity", min: "0", max: "100", value: "40" });
    slider.addEventListener("input", () => this.panes.forEach((one) => {
      one.opacity = Number(slider.value) / 100;
      one.draw();
    }));
    box.append(element("label", { for: "viewer-opacity" }, "Opacity"), slider);
    return box;
  }

  overlayItem(pane, overlay, label) {
    const id = `viewer-overlay-${overlay.number}-${label.value}`;
    const tick = element("input", { type: "checkbox", class: "form-check-input", id, checked: true });
    const sign = element("span", { class: "viewer-colour", "aria-hidden": "true" });
    sign.style.backgroundColor = label.colour;
    tick.addEventListener("change", () => {
      pane.hidden[tick.checked ? "delete" : "add"](`${overlay.number}/${label.value}`);
      pane.draw();
    });
    const text = `${label.name} (${overlay.model})`;
    return element("div", { class: "form-check" }, tick, element("label", { class: "form-check-label", for: id }, sign, text));
  }

  async largest(pane, overlay) {
    try {
      const found = await json(`${pane.series.base}/overlays/${overlay.number}.json`);
      const best = found.pictures.reduce((one, other) => (other.marked > one.marked ? other : one), { marked: 0 });
      if (best.k) this.jump(pane, best.k);
      else pane.message(`${overlay.name}: nothing is marked.`);
    } catch (error) {
      pane.message(`${overlay.name}: ${error.message}`);
    }
  }

  jump(pane, k) {
    this.active = pane;
    pane.go(k);
    pane.canvas.focus();
  }

  /** From a finding elsewhere on the page to the pictures that show it, in whichever series they are. */
  async find(finding) {
    const pane = this.panes[0];
    for (const series of [pane.listed, ...this.study.series.filter((one) => one !== pane.listed)]) {
      const told = series === pane.listed && pane.series ? pane.series : await json(series.pictures).catch(() => null);
      const mark = told && told.marks.find((one) => one.finding === finding);
      if (!mark) continue;
      if (series !== pane.listed) await this.openSeries(pane, series, mark.pictures[0]);
      const overlay = pane.series.overlays.find((one) => !one.findings.length || one.findings.includes(finding));
      if (mark.pictures.length) this.jump(pane, mark.pictures[0]);
      else if (overlay) await this.largest(pane, overlay);
      return;
    }
    pane.message("No picture is named that shows this finding.");
  }

  // --- keys

  listen() {
    for (const link of this.section.querySelectorAll("[data-series]")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        const series = this.study.series.find((one) => String(one.number) === link.dataset.series);
        this.active = this.panes[0];
        this.openSeries(this.panes[0], series).then(() => this.panes[0].canvas.focus());
      });
    }
    document.addEventListener("click", (event) => {
      const asked = event.target.closest("[data-viewer-finding]");
      if (!asked) return;
      event.preventDefault();
      this.section.scrollIntoView();
      this.find(asked.dataset.viewerFinding);
    });
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = this.action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  action(event) {
    const pane = this.active;
    const count = pane.series ? pane.series.pictures.length : 1;
    const step = pane.window ? Math.max(pane.window.width / 20, 0.1) : 0;
    if (event.shiftKey && event.key.startsWith("Arrow")) return this.moving(event.key);
    if (/^[1-9]$/.test(event.key)) return () => this.number(Number(event.key) - 1);
    return {
      ArrowUp: () => pane.go(pane.k - 1),
      ArrowDown: () => pane.go(pane.k + 1),
      PageUp: () => pane.go(pane.k - 10),
      PageDown: () => pane.go(pane.k + 10),
      Home: () => pane.go(1),
      End: () => pane.go(count),
      ArrowLeft: () => this.neighbour(-1),
      ArrowRight: () => this.neighbour(1),
      n: () => this.nextMark(1),
      p: () => this.nextMark(-1),
      "[": () => pane.adjust(0, -step),
      "]": () => pane.adjust(0, step),
      ",": () => pane.adjust(step, 0),
      ".": () => pane.adjust(-step, 0),
      i: () => pane.invert(),
      "+": () => pane.zoomBy(1.25),
      "-": () => pane.zoomBy(0.8),
      r: () => pane.restore(),
      o: () => this.toggleMarks(),
      c: () => this.toggleCompare(),
      l: () => this.setLinked(!this.linked),
      h: () => this.help.showModal(),
      "?": () => this.help.showModal(),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  }

  moving(key) {
    const [x, y] = { ArrowUp: [0, -20], ArrowDown: [0, 20], ArrowLeft: [-20, 0], ArrowRight: [20, 0] }[key];
    return () => this.active.move(x, y);
  }

  number(n) {
    const { series } = this.active;
    if (series && n < series.windows.length) this.active.setWindow(series.windows[n]);
  }

  neighbour(by) {
    const pane = this.active;
    const every = pane === this.panes[0] ? this.study.series : this.study.priors.flatMap((one) => one.series);
    const next = every[every.indexOf(pane.listed) + by];
    if (next) this.openSeries(pane, next);
  }

  /** Where a finding names its pictures those, and where something is drawn. */
  async nextMark(by) {
    const pane = this.active;
    const { series } = pane;
    if (!series) return;
    series.drawnOn ||= Promise.all(series.overlays.map((overlay) => (
      json(`${series.base}/overlays/${overlay.number}.json`).then((found) => found.pictures.map((one) => one.k), () => [])
    )));
    const named = series.marks.flatMap((mark) => mark.pictures);
    const every = [...new Set([...named, ...(await series.drawnOn).flat()])].sort((a, b) => (a - b) * by);
    const next = every.find((k) => (k - pane.k) * by > 0);
    if (next) pane.go(next);
  }

  toggleMarks() {
    this.marksOn = !this.marksOn;
    for (const pane of this.panes) {
      pane.marksOn = this.marksOn;
      pane.draw();
    }
    this.told();
  }

  toggleCompare() {
    if (!this.study.priors.length) return;
    this.beside.value = this.panes[1] ? "" : this.beside.options[1].value;
    this.compare(this.beside.value);
  }
}

for (const section of document.querySelectorAll("[data-viewer]")) {
  json(section.dataset.viewer).then(
    (study) => new Viewer(section, study),
    (error) => section.append(element("p", { class: "viewer-status", role: "alert" }, error.message)),
  );
}
