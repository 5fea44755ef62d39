// A line chart as SVG: a title, the latest value, up to four lines, a legend, and dashed marks.

import { make, nameOf } from "./base.js";

const HEIGHT = 150, LEFT = 46, BOTTOM = 20, TOP = 16;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Return the card of a chart: a title, the latest values or `now` in words, the lines {name, values}, of the same length
 *  as `times`. A null among the values is a gap. Where `isStale`, nobody knows what the value is now. */
export function chart({ title, now, isStale = false, ...options }) {
  const text = isStale ? "not known now" : now ?? latestOf(options);
  return make("article", { class: "card chart" }, make("h2", {}, title), make("p", { class: "value" }, text), ...picture(`${title}, now ${text}`, options));
}

/** Return a chart as a part of a card, with its title alone. */
export function smallChart({ title, ...options }) {
  return make("div", { class: "chart" }, make("h4", {}, title), ...picture(`${title}, last ${latestOf(options)}`, options));
}

function latestOf({ lines, format }) {
  return lines.map(({ name, values }) => {
    const value = values.at(-1) ?? null;
    return `${lines.length > 1 ? `${name} ` : ""}${value === null ? "–" : format(value)}`;
  }).join(" · ");
}

function picture(description, { lines, times, marks = [], format, top, width }) {
  const legend = lines.length > 1 ? make("ul", { class: "legend" }, ...lines.map(({ name }, index) => make("li", {}, swatch(index), nameOf(name)))) : "";
  return [draw({ description, lines, times, marks, format, top, width }), legend];
}

function swatch(index) {
  const line = svg("svg", { viewBox: "0 0 20 10", "aria-hidden": "true" });
  line.append(svg("line", { x1: 0, x2: 20, y1: 5, y2: 5, class: `line s${index + 1}` }));
  return line;
}

function draw({ description, lines, times, marks, format, top, width }) {
  const highest = top ?? nice(Math.max(0, ...lines.flatMap(({ values }) => values.filter((value) => value !== null))));
  const [from, to] = [times[0] ?? 0, Math.max(times.at(-1) ?? 1, (times[0] ?? 0) + 60)];
  const x = (time) => LEFT + ((time - from) / (to - from)) * (width - LEFT - 6);
  const y = (value) => TOP + (1 - value / highest) * (HEIGHT - TOP - BOTTOM);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": description });
  for (const value of [0, highest / 2, highest]) {
    picture.append(svg("line", { x1: LEFT, x2: width - 6, y1: y(value), y2: y(value), class: "grid-line" }), svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)));
  }
  if (times.length) {
    picture.append(svg("text", { x: LEFT, y: HEIGHT - 4 }, clock(from)), svg("text", { x: width - 6, y: HEIGHT - 4, "text-anchor": "end" }, clock(to)));
  }
  for (const { time, version } of marks.filter(({ time }) => time >= from && time <= to)) {
    const isRight = x(time) > width * 0.7;
    picture.append(svg("line", { x1: x(time), x2: x(time), y1: 4, y2: HEIGHT - BOTTOM, class: "mark" }),
      svg("text", { x: x(time) + (isRight ? -4 : 4), y: 11, "text-anchor": isRight ? "end" : "start" }, `${version} live`));
  }
  lines.forEach(({ values }, index) => picture.append(svg("path", { class: `line s${index + 1}`, d: path(values, times, x, y) })));
  return picture;
}

function path(values, times, x, y) {
  let isDown = false;
  return values.map((value, index) => {
    if (value === null) { isDown = false; return ""; }
    // A lone point between two gaps is a dot.
    const step = `${isDown ? "L" : "M"}${x(times[index]).toFixed(1)} ${y(value).toFixed(1)}${isDown ? "" : "h.01"}`;
    isDown = true;
    return step;
  }).join("");
}

const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 4, 5, 10].find((step) => step * power >= value);
}
