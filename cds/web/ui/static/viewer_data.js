// What the viewer fetches, and what it makes of stored values: no drawing here.

const MOST_BYTES = 256 * 1024 * 1024;
const LARGE = 2 * 1024 * 1024;
const SMALL = 1024;

/** Values by key, the oldest given up when there are too many bytes. */
class Kept {
  constructor(most) {
    this.most = most;
    this.bytes = 0;
    this.values = new Map();
  }

  get(key) {
    const found = this.values.get(key);
    if (found) {
      this.values.delete(key);
      this.values.set(key, found);
    }
    return found && found.value;
  }

  put(key, value, bytes) {
    const before = this.values.get(key);
    if (before) this.bytes -= before.bytes;
    this.values.delete(key);
    this.values.set(key, { value, bytes });
    this.bytes += bytes;
    for (const [oldest, one] of this.values) {
      if (this.bytes <= this.most || oldest === key) break;
      this.values.delete(oldest);
      this.bytes -= one.bytes;
    }
    return value;
  }
}

const pictures = new Kept(MOST_BYTES);
const drawings = new Kept(MOST_BYTES / 4);
const underWay = new Map();

/** JSON of an address; an error says in words what was wrong. */
export async function json(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(await said(answer));
  return answer.json();
}

async function said(answer) {
  if ((answer.headers.get("Content-Type") || "").startsWith("application/json")) {
    const told = await answer.json();
    if (told.why) return told.why;
  }
  if (answer.status === 401) return "You are signed out. Sign in again.";
  if (answer.status === 409) return "The images of this study have changed. Reload the page.";
  return `This could not be loaded (${answer.status}).`;
}

function once(key, make) {
  if (!underWay.has(key)) underWay.set(key, make().finally(() => underWay.delete(key)));
  return underWay.get(key);
}

const ARRAYS = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, float32: Float32Array };

/** A picture: {grey: values that a window is made of} or {bitmap: as the server drew it}. `own` wants the latter. */
export function picture(series, k, own) {
  const shown = series.pictures[k - 1];
  const drawn = own || shown.colour;
  const address = `${series.base}/frames/${k}.${drawn ? "png" : "raw"}?v=${series.version}`;
  const known = pictures.get(address);
  return known ? Promise.resolve(known) : once(address, () => load(address, drawn, series, k));
}

async function load(address, drawn, series, k) {
  const answer = await fetch(address);
  if (drawn) return bitmap(answer, address);
  if (answer.status === 422) return picture(series, k, true);
  if (!answer.ok) throw new Error(await said(answer));
  const [kind, rows, columns] = answer.headers.get("Sightline-Pixels").split(" ");
  const [slope, intercept] = answer.headers.get("Sightline-Rescale").split(" ").map(Number);
  const values = new ARRAYS[kind](await answer.arrayBuffer());
  const inverted = answer.headers.get("Sightline-Inverted") === "yes";
  const grey = { values, rows: Number(rows), columns: Number(columns), slope, intercept, inverted };
  return pictures.put(address, { grey, rows: grey.rows, columns: grey.columns }, values.byteLength);
}

/** A small picture of a large one, to be looked at until it is here; null where there is none. */
export async function preview(series, k) {
  const { rows, columns } = series.pictures[k - 1];
  const answer = await fetch(`${series.base}/frames/${k}.png?size=${SMALL}&v=${series.version}`);
  if (!answer.ok) return null;
  return { bitmap: await createImageBitmap(await answer.blob()), rows, columns, small: true };
}

/** Whether a picture is so large that one waits for it. */
export function isLarge(series, k) {
  const { rows, columns } = series.pictures[k - 1];
  return rows * columns > LARGE && !pictures.get(`${series.base}/frames/${k}.raw?v=${series.version}`);
}

/** Also the tile that says why a picture cannot be shown comes as a picture, under its error. */
async function bitmap(answer, address) {
  if (!(answer.headers.get("Content-Type") || "").startsWith("image/")) throw new Error(await said(answer));
  const drawn = await createImageBitmap(await answer.blob());
  const found = { bitmap: drawn, rows: drawn.height, columns: drawn.width, failed: !answer.ok };
  return answer.ok ? pictures.put(address, found, drawn.width * drawn.height * 4) : found;
}

/** What a model drew on a picture: {values, rows, columns}, or null. */
export function drawing(series, k, number) {
  const address = `${series.base}/frames/${k}/overlays/${number}.raw?v=${series.version}`;
  const known = drawings.get(address);
  if (known) return Promise.resolve(known.found);
  return once(address, async () => {
    const answer = await fetch(address);
    if (answer.status === 204) return drawings.put(address, { found: null }, 64).found;
    if (!answer.ok) throw new Error(await said(answer));
    const [, rows, columns] = answer.headers.get("Sightline-Pixels").split(" ").map((part) => Number(part) || part);
    const values = new Uint8Array(await answer.arrayBuffer());
    return drawings.put(address, { found: { values, rows, columns } }, values.byteLength).found;
  });
}

/** 0 to 255 of a value after rescale (PS3.3 C.11.2.1.2 and C.11.2.1.3). */
export function shade(value, window) {
  const { center, width } = window;
  if (window.function === "SIGMOID") return 255 / (1 + Math.exp((-4 * (value - center)) / width));
  if (window.function === "LINEAR_EXACT") return ((value - center) / width + 0.5) * 255;
  if (width <= 1) return value > center - 0.5 ? 255 : 0;
  return ((value - (center - 0.5)) / (width - 1) + 0.5) * 255;
}

/** The window that shows nearly all values: where neither the image nor its modality says one. */
export function automatic(grey) {
  const step = Math.max(1, Math.floor(grey.values.length / 20000));
  const some = [];
  for (let n = 0; n < grey.values.length; n += step) some.push(grey.values[n] * grey.slope + grey.intercept);
  some.sort((a, b) => a - b);
  const low = some[Math.floor(some.length * 0.01)];
  const high = some[Math.min(some.length - 1, Math.floor(some.length * 0.99))];
  return { name: "Automatic", center: (low + high) / 2, width: Math.max(high - low, 1), function: "LINEAR" };
}

/** Fill RGBA pixels with a grey picture in a window. */
export function paint(grey, window, inverted, pixels) {
  const flipped = grey.inverted !== inverted;
  const out = new Uint32Array(pixels.buffer);
  const { values, slope, intercept } = grey;
  const short = values.BYTES_PER_ELEMENT <= 2;
  const table = short ? shades(values, slope, intercept, window, flipped) : null;
  const lowest = short && values.constructor.name.startsWith("Int") ? 1 << (values.BYTES_PER_ELEMENT * 8 - 1) : 0;
  for (let n = 0; n < values.length; n += 1) {
    out[n] = short ? table[values[n] + lowest] : opaque(shade(values[n], window), flipped);
  }
}

function shades(values, slope, intercept, window, flipped) {
  const count = 1 << (values.BYTES_PER_ELEMENT * 8);
  const lowest = values.constructor.name.startsWith("Int") ? count / 2 : 0;
  const table = new Uint32Array(count);
  for (let n = 0; n < count; n += 1) table[n] = opaque(shade((n - lowest) * slope + intercept, window), flipped);
  return table;
}

function opaque(value, flipped) {
  const level = Math.round(Math.min(255, Math.max(0, value)));
  const shown = flipped ? 255 - level : level;
  return (255 << 24) | (shown << 16) | (shown << 8) | shown;
}

/** Colour an overlay: labels by their colours, a heat map by how warm it is. */
export function tint(drawn, overlay, shown, pixels) {
  const out = new Uint32Array(pixels.buffer);
  const table = new Uint32Array(256);
  if (overlay.kind === "heat") {
    if (shown.has(0)) for (let n = 1; n < 256; n += 1) table[n] = colour("#d55e00", n);
  } else {
    for (const label of overlay.labels) if (shown.has(label.value)) table[label.value] = colour(label.colour, 255);
  }
  for (let n = 0; n < drawn.values.length; n += 1) out[n] = table[drawn.values[n]];
}

function colour(hex, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
