// The pieces that the viewer is put together from.

const KEYS = [
  ["↑ ↓ or the wheel", "picture before, picture after"],
  ["Page up, Page down", "ten pictures back, ten on"],
  ["Home, End", "first picture, last picture"],
  ["N, P", "next and previous picture that shows a finding"],
  ["1 to 9", "window preset"],
  ["[ ]", "narrower, wider window"],
  [", .", "darker, brighter"],
  ["I", "invert"],
  ["+ −", "larger, smaller"],
  ["Shift and arrows", "move the picture"],
  ["R", "reset"],
  ["O", "marks of AI on and off"],
  ["C", "earlier study beside it, or away"],
  ["L", "scroll both together, or each by itself"],
  ["← →", "the series before, the series after"],
  ["Tab", "leave the picture"],
  ["H or ?", "this help"],
];
export const TOOLS = [["window", "Window"], ["scroll", "Scroll"], ["pan", "Move"], ["zoom", "Zoom"]];
/** An element with attributes, and what is in it. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A button that does something. */
export function button(text, action, more = {}) {
  const made = element("button", { type: "button", class: "btn btn-sm btn-outline-secondary", ...more }, text);
  made.addEventListener("click", action);
  return made;
}

/** A number as short as a reader needs it. */
export const round = (number) => Number(number.toFixed(Math.abs(number) < 10 ? 1 : 0));

/** What the keys do, in a dialog that Escape closes. */
export function helpDialog() {
  const rows = KEYS.map(([keys, does]) => element(
    "tr", {}, element("th", { scope: "row" }, keys), element("td", {}, does),
  ));
  const head = element("h3", { class: "h5", id: "viewer-help" }, "Keys of the viewer");
  const table = element("table", { class: "table table-sm" }, element("tbody", {}, ...rows));
  const note = element("p", {}, "The keys work while a picture has the focus. Two fingers move and zoom.");
  const dialog = element("dialog", { class: "viewer-help", "aria-labelledby": "viewer-help" }, head, note, table);
  dialog.append(button("Close", () => dialog.close()));
  return dialog;
}

/** The frame of one series: caption, canvas with the letters of its edges, message, slider. */
export function seriesFrame(title) {
  const canvas = element("canvas", {
    tabindex: "0", role: "application", "aria-label": title, "aria-roledescription": "image viewer",
  });
  const corners = ["top", "right", "bottom", "left"].map((side) => element(
    "span", { class: `viewer-letter viewer-${side}`, "data-letter": side, "aria-hidden": "true" },
  ));
  const caption = element("p", { class: "viewer-caption", "data-caption": "" });
  const message = element("p", { class: "viewer-message", "data-message": "", role: "status" });
  const slider = element("input", { type: "range", class: "form-range", min: "1", max: "1", value: "1", "aria-label": `Picture, ${title}` });
  const view = element("div", { class: "viewer-view" }, canvas, ...corners, message);
  const frame = element("div", { class: "viewer-pane" }, caption, view, slider);
  return { frame, canvas, caption, slider };
}
