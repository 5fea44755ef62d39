import { byId, call, make, percent, showProblem } from "./base.js";
import { chart } from "./chart.js";

const REFRESH_MS = 5000;
const ERROR_LINES = 4;
let latest = null;

const number = (value) => (value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1));
const milliseconds = (value) => `${value.toFixed(value < 10 && value > 0 ? 1 : 0)} ms`;
const inWords = ({ p50_ms, p99_ms }) => (p50_ms === null ? "no requests" : `${milliseconds(p50_ms)}, 99 of 100 in ${milliseconds(p99_ms)}`);

function draw() {
  const { points, promotions } = latest;
  const times = points.map(({ time }) => time);
  const line = (name, key) => ({ name, values: points.map((point) => point[key]) });
  const place = byId("charts");
  if (!points.length) {
    place.replaceChildren(make("p", { class: "empty wide" }, "The first points appear in about ten seconds."));
    return;
  }
  const width = Math.max(260, (place.firstElementChild?.clientWidth || place.clientWidth) - 42);
  const common = { times, marks: promotions, width };
  place.replaceChildren(
    chart({ ...common, title: "Photos per second", lines: [line("", "requests_per_s")], format: number }),
    chart({ ...common, title: "Time in the handler", lines: [line("half of the requests", "p50_ms"), line("99 of 100", "p99_ms")], format: milliseconds, now: inWords(points.at(-1)) }),
    chart({ ...common, title: "Errors in 5 seconds", lines: errorLines(points), format: number, now: number(Object.values(points.at(-1).errors).reduce((sum, count) => sum + count, 0)) }),
    chart({ ...common, title: "Mean confidence", lines: [line("", "confidence")], format: percent, top: 1 }),
    chart({ ...common, title: "Requests waiting", lines: [line("", "queued")], format: number }),
    chart({ ...common, title: "Workers", lines: [line("ready", "ready_workers"), line("wanted", "workers")], format: number, now: `${points.at(-1).ready_workers} of ${points.at(-1).workers} ready` }),
  );
}

function errorLines(points) {
  const totals = new Map();
  for (const { errors } of points) for (const [code, count] of Object.entries(errors)) totals.set(code, (totals.get(code) ?? 0) + count);
  const codes = [...totals].sort((a, b) => b[1] - a[1]).map(([code]) => code);
  if (!codes.length) return [{ name: "", values: points.map(() => 0) }];
  const own = codes.length > ERROR_LINES ? codes.slice(0, ERROR_LINES - 1) : codes;
  const lines = own.map((code) => ({ name: code, values: points.map(({ errors }) => errors[code] ?? 0) }));
  if (own.length < codes.length) {
    const others = codes.slice(own.length);
    lines.push({ name: "others", values: points.map(({ errors }) => others.reduce((sum, code) => sum + (errors[code] ?? 0), 0)) });
  }
  return lines;
}

function drawShares() {
  const cards = latest.shares.map(({ model, version, photos, confidence, classes }) => make("article", { class: "card" },
    make("h3", {}, `${model} ${version}`),
    make("p", { class: "hint" }, `${photos} photos${confidence == null ? "" : `, mean confidence ${percent(confidence)}`}`),
    make("ol", { class: "bars" }, ...classes.map(bar))));
  byId("shares").replaceChildren(...(cards.length ? cards : [make("p", { class: "empty wide" }, "No photo was answered yet.")]));
}

function bar({ label, share }) {
  const fill = make("div", { class: "fill" });
  fill.style.width = `${(share * 100).toFixed(1)}%`;
  return make("li", {}, make("div", { class: "row apart" }, make("span", { class: "name" }, label), make("span", { class: "share" }, percent(share))),
    make("div", { class: "track", "aria-hidden": "true" }, fill));
}

async function refresh() {
  try {
    latest = await (await call("/api/watch")).json();
    showProblem(latest.problem);
    draw();
    drawShares();
  } catch (error) {
    showProblem(error.message);
  }
}

new ResizeObserver(() => { if (latest) draw(); }).observe(document.querySelector("main"));
refresh();
setInterval(refresh, REFRESH_MS);
