// One canvas with one series: what is drawn where, and what a pointer does to it.

import { automatic, drawing, isLarge, json, paint, picture, preview, tint } from "./viewer_data.js";

const AHEAD = 3;
// Larger pictures are not fetched before somebody wants them.
const LARGE = 4 * 1024 * 1024;
const LEAST_ZOOM = 0.2;
const MOST_ZOOM = 20;
const WHEEL_STEP = 40;

/** A series in a frame of its own; tells `changed` whenever something is to be said anew. */
export class Pane {
  constructor(frame, changed) {
    this.frame = frame;
    this.changed = changed;
    this.canvas = frame.querySelector("canvas");
    this.series = null;
    this.k = 1;
    this.tool = "window";
    this.opacity = 0.4;
    this.hidden = new Set();
    this.marksOn = true;
    this.waiting = 0;
    this.wheel = 0;
    this.pointers = new Map();
    this.reset();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  reset() {
    this.zoom = 1;
    this.pan = [0, 0];
    this.inverted = false;
    this.window = this.series && this.series.windows.length ? { ...this.series.windows[0] } : null;
    this.own = Boolean(this.series && this.current && this.current.table);
  }

  get current() {
    return this.series && this.series.pictures[this.k - 1];
  }

  async open(address, k) {
    this.message("Loading …");
    try {
      this.series = await json(address);
    } catch (error) {
      this.series = null;
      this.message(error.message);
      return;
    }
    this.image = null;
    const count = this.series.pictures.length;
    if (!count) {
      this.message(["There is no picture to show.", ...this.series.unread].join(" "));
      return;
    }
    this.k = Math.min(Math.max(k || Math.ceil(count / 2), 1), count);
    this.reset();
    await this.show();
  }

  message(text) {
    this.told = text;
    this.frame.querySelector("[data-message]").textContent = text;
    this.changed(this);
  }

  async go(k) {
    if (!this.series) return;
    const there = Math.min(Math.max(Math.round(k), 1), this.series.pictures.length);
    if (there === this.k) return;
    this.direction = Math.sign(there - this.k);
    this.k = there;
    await this.show();
  }

  async show() {
    const [series, k, turn] = [this.series, this.k, (this.waiting += 1)];
    this.changed(this);
    if (isLarge(series, k)) this.preview(series, k, turn);
    try {
      const image = await picture(series, k, this.own);
      if (turn !== this.waiting) return;
      this.image = image;
      this.image.of = k;
      if (image.grey && !this.window) this.automatic(image.grey);
      this.message(image.failed ? "This picture cannot be shown; it says why." : "");
    } catch (error) {
      if (turn !== this.waiting) return;
      this.image = null;
      this.message(error.message);
    }
    this.render();
    this.overlay(turn);
    this.prefetch();
  }

  /** Where nobody says how the series is looked at, its first picture does; it is a preset from then on. */
  automatic(grey) {
    this.window = automatic(grey);
    if (!this.series.windows.length) this.series.windows = [{ ...this.window }];
  }

  /** Something to look at while a mammogram is on its way. */
  async preview(series, k, turn) {
    const seen = await preview(series, k).catch(() => null);
    const isLate = turn !== this.waiting || (this.image && this.image.of === k && !this.image.small);
    if (!seen || isLate) return;
    this.image = seen;
    this.message("Loading at full size …");
    this.draw();
  }

  prefetch() {
    if (this.current.rows * this.current.columns > LARGE) return;
    const count = this.series.pictures.length;
    for (let n = 1; n <= AHEAD; n += 1) {
      const next = this.k + n * (this.direction || 1);
      if (next >= 1 && next <= count) picture(this.series, next, this.own).catch(() => null);
    }
  }

  async overlay(turn) {
    this.drawn = [];
    for (const overlay of this.series.overlays) {
      try {
        const found = await drawing(this.series, this.k, overlay.number);
        if (turn !== this.waiting) return;
        if (found) this.drawn.push([overlay, found]);
      } catch (error) {
        if (turn === this.waiting && !this.told) this.message(`${overlay.name}: ${error.message}`);
      }
    }
    this.draw();
    this.changed(this);
  }

  /** Values to grey, once per picture and window. */
  render() {
    if (this.image && this.image.grey) {
      const { grey } = this.image;
      if (!this.paper || this.paper.width !== grey.columns || this.paper.height !== grey.rows) {
        this.paper = new OffscreenCanvas(grey.columns, grey.rows);
        this.pixels = new ImageData(grey.columns, grey.rows);
      }
      paint(grey, this.window, this.inverted, this.pixels.data);
      this.paper.getContext("2d").putImageData(this.pixels, 0, 0);
    }
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (!this.image) return;
    const [across, down] = this.place(width, height, ratio, context);
    context.imageSmoothingEnabled = across < 3;
    context.filter = this.image.bitmap && this.inverted ? "invert(1)" : "none";
    context.drawImage(this.image.bitmap || this.paper, 0, 0, this.image.columns, this.image.rows);
    context.filter = "none";
    this.drawOverlays(context);
    this.scale = [across / ratio, down / ratio];
  }

  /** Fitted into the frame with square millimetres, then zoomed and moved. */
  place(width, height, ratio, context) {
    const { rows, columns } = this.image;
    const spacing = this.current && this.current.spacing;
    const aspect = spacing ? spacing[0] / spacing[1] : 1;
    const fit = Math.min(width / columns, height / (rows * aspect)) * this.zoom;
    const left = (width - columns * fit) / 2 + this.pan[0] * ratio;
    const top = (height - rows * aspect * fit) / 2 + this.pan[1] * ratio;
    context.setTransform(fit, 0, 0, fit * aspect, left, top);
    return [fit, fit * aspect];
  }

  drawOverlays(context) {
    if (!this.marksOn) return;
    context.globalAlpha = this.opacity;
    context.imageSmoothingEnabled = false;
    for (const [overlay, found] of this.drawn || []) {
      const values = overlay.kind === "heat" ? [0] : overlay.labels.map((label) => label.value);
      const shown = new Set(values.filter((value) => !this.hidden.has(`${overlay.number}/${value}`)));
      if (!shown.size) continue;
      const paper = new OffscreenCanvas(found.columns, found.rows);
      const pixels = new ImageData(found.columns, found.rows);
      tint(found, overlay, shown, pixels.data);
      paper.getContext("2d").putImageData(pixels, 0, 0);
      context.drawImage(paper, 0, 0, this.image.columns, this.image.rows);
    }
    context.globalAlpha = 1;
  }

  setWindow(chosen) {
    const own = chosen === null;
    const again = own !== this.own;
    this.own = own;
    if (chosen) this.window = { ...chosen };
    if (again) this.show();
    else this.render();
    this.changed(this, "window");
  }

  adjust(center, width) {
    if (!this.image || !this.image.grey) return;
    const least = this.window.function === "LINEAR" ? 1 : 0.001;
    this.window = {
      name: "",
      center: this.window.center + center,
      width: Math.max(this.window.width + width, least),
      function: this.window.function,
    };
    this.render();
    this.changed(this, "window");
  }

  invert() {
    this.inverted = !this.inverted;
    this.render();
    this.changed(this);
  }

  zoomBy(factor) {
    this.zoom = Math.min(Math.max(this.zoom * factor, LEAST_ZOOM), MOST_ZOOM);
    this.draw();
    this.changed(this);
  }

  move(x, y) {
    this.pan = [this.pan[0] + x, this.pan[1] + y];
    this.draw();
  }

  restore() {
    const own = this.own;
    this.reset();
    if (own !== this.own) this.show();
    this.render();
    this.changed(this, "window");
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  wheeled(event) {
    if (!this.series || (this.series.pictures.length < 2 && !event.ctrlKey)) return;
    event.preventDefault();
    if (event.ctrlKey) {
      this.zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1);
      return;
    }
    this.wheel += event.deltaMode ? event.deltaY * WHEEL_STEP : event.deltaY;
    const steps = Math.trunc(this.wheel / WHEEL_STEP);
    this.wheel -= steps * WHEEL_STEP;
    if (steps) this.go(this.k + steps);
  }

  pressed(event) {
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.dragged = 0;
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before || !this.series) return;
    const here = [event.clientX, event.clientY];
    const [x, y] = [here[0] - before[0], here[1] - before[1]];
    if (this.pointers.size > 1) this.pinched(event.pointerId, before, here);
    else this.drag(event.buttons === 4 ? "pan" : event.buttons === 2 ? "zoom" : this.tool, x, y);
    this.pointers.set(event.pointerId, here);
  }

  pinched(id, before, here) {
    const other = [...this.pointers].find(([one]) => one !== id)[1];
    const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
    this.move((here[0] - before[0]) / 2, (here[1] - before[1]) / 2);
    this.zoomBy(apart(here) / apart(before));
  }

  drag(tool, x, y) {
    if (tool === "pan") this.move(x, y);
    else if (tool === "zoom") this.zoomBy(1 - y / 200);
    else if (tool === "window" && this.window) {
      const step = Math.max(this.window.width / 400, 0.01);
      this.adjust(y * step, x * step * 2);
    } else {
      this.dragged += y;
      const step = Math.max(4, this.canvas.clientHeight / Math.max(this.series.pictures.length, 1));
      const steps = Math.trunc(this.dragged / step);
      this.dragged -= steps * step;
      if (steps) this.go(this.k + steps);
    }
  }
}
