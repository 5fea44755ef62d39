import { byId, call, make, nameOf, percent, showProblem } from "./base.js";
import { chart, smallChart } from "./chart.js";

const REFRESH_MS = 5000;
const LINES = 4;
let latest = null;

const number = (value) => (value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1));
const time = (milliseconds) => (milliseconds >= 1000 ? `${number(milliseconds / 1000)} s` : `${milliseconds.toFixed(milliseconds < 10 && milliseconds > 0 ? 1 : 0)} ms`);
const share = (value) => `${Math.round(value * 100)} %`;
const inWords = ({ p50_ms, p99_ms }) => (p50_ms === null ? "no requests" : `half in ${time(p50_ms)}, 99 of 100 in ${time(p99_ms)}`);

function draw() {
  const { points, versions, problem } = latest;
  const line = (name, key) => ({ name, values: points.map((point) => point[key]) });
  const place = byId("charts");
  if (!points.length) {
    place.replaceChildren(make("p", { class: "empty wide" }, problem ? "The charts begin once the server answers." : "The first points appear in about ten seconds."));
    return;
  }
  const common = { ...axis(), width: chartWidth(place), isStale: Boolean(problem) };
  const last = points.at(-1);
  place.replaceChildren(
    chart({ ...common, title: "Photos per second", lines: [line("", "requests_per_s")], format: number }),
    chart({ ...common, title: "Time that a request takes", lines: [line("half of the requests", "p50_ms"), line("99 of 100", "p99_ms")], format: time, now: inWords(last) }),
    chart({ ...common, title: "Errors in 5 seconds", lines: errorLines(points), format: number, now: number(Object.values(last.errors).reduce((sum, count) => sum + count, 0)) }),
    chart({ ...common, title: "Confidence, a minute's mean", lines: confidenceLines(versions, points), format: share, top: 1 }),
    chart({ ...common, title: "Requests waiting", lines: [line("", "queued")], format: number }),
    chart({ ...common, title: "Workers", lines: [line("ready", "ready_workers"), line("wanted", "workers")], format: number, now: `${last.ready_workers} of ${last.workers} ready` }),
  );
}

const axis = () => ({ times: latest.points.map((point) => point.time), marks: latest.promotions });
const chartWidth = (place) => Math.max(240, (place.firstElementChild?.clientWidth || place.clientWidth) - 42);

const isKnown = (values) => values.some((value) => value !== null);
const isRecent = ({ confidence_over_time: confidence, others_over_time: others }) => isKnown(confidence) || isKnown(others);

function confidenceLines(versions, points) {
  const lines = versions.map(({ model, version, confidence_over_time: values }) => ({ name: `${model} ${version}`, values }));
  const recent = lines.filter(({ values }) => isKnown(values)).slice(-LINES);
  return recent.length ? recent : [{ name: "", values: points.map(() => null) }];
}

function errorLines(points) {
  const totals = new Map();
  for (const { errors } of points) for (const [code, count] of Object.entries(errors)) totals.set(code, (totals.get(code) ?? 0) + count);
  const codes = [...totals].sort((a, b) => b[1] - a[1]).map(([code]) => code);
  if (!codes.length) return [{ name: "", values: points.map(() => 0) }];
  const own = codes.length > LINES ? codes.slice(0, LINES - 1) : codes;
  const lines = own.map((code) => ({ name: code, values: points.map(({ errors }) => errors[code] ?? 0) }));
  if (own.length < codes.length) {
    const others = codes.slice(own.length);
    lines.push({ name: "others", values: points.map(({ errors }) => others.reduce((sum, code) => sum + (errors[code] ?? 0), 0)) });
  }
  return lines;
}

function drawShares() {
  const { versions, promotions } = latest;
  const place = byId("shares");
  const width = chartWidth(place);
  const cards = versions.map((row) => make("article", { class: "card" },
    make("h3", {}, `${row.model} ${row.version}`),
    make("p", { class: "hint" }, inShort(row, promotions)),
    make("ol", { class: "bars" }, ...row.classes.map(bar)),
    isRecent(row)
      ? smallChart({ ...axis(), width, title: "Classes over time, of a minute's photos", lines: classLines(row), format: share })
      : make("p", { class: "hint" }, "It answered no photo in these 30 minutes.")));
  place.replaceChildren(...(cards.length ? cards : [make("p", { class: "empty wide" }, "No photo was answered yet.")]));
}

function inShort({ model, version, photos, confidence }, promotions) {
  const live = promotions.find((promotion) => promotion.model === model && promotion.version === version);
  return [
    `${photos} ${photos === 1 ? "photo" : "photos"}`,
    confidence == null ? null : `mean confidence ${percent(confidence)}`,
    live ? `went live on ${new Date(live.time * 1000).toLocaleString()}` : null,
  ].filter(Boolean).join(", ");
}

function classLines({ classes, classes_over_time: over, others_over_time: others }) {
  const lines = over.map(({ label, shares }) => ({ name: label, values: shares }));
  return classes.length > lines.length ? [...lines, { name: "all others", values: others }] : lines;
}

function bar({ label, share: value }) {
  const fill = make("div", { class: "fill" });
  fill.style.width = `${(value * 100).toFixed(1)}%`;
  return make("li", {}, make("div", { class: "row apart" }, make("span", { class: "name", title: label }, nameOf(label)), make("span", { class: "share" }, percent(value))),
    make("div", { class: "track", "aria-hidden": "true" }, fill));
}

async function refresh() {
  try {
    latest = await (await call("/api/watch", { isBackground: true })).json();
    showProblem(latest.problem ? `${latest.problem} It is asked again every 5 seconds, and this page goes on by itself.` : "");
    draw();
    drawShares();
  } catch (error) {
    showProblem(error.message);
  }
}

new ResizeObserver(() => { if (latest) { draw(); drawShares(); } }).observe(document.querySelector("main"));
refresh();
setInterval(refresh, REFRESH_MS);
