import { byId, call, make, showProblem } from "./base.js";

const REFRESH_MS = 5000;
const STATES = { live: "answers now", kept: "ready to go back to", loaded: "loaded beside" };
let stream = null;
let shownRollout = 0;

async function refresh() {
  try {
    const { versions, archives, rollout } = await (await call("/api/versions")).json();
    showProblem("");
    draw(versions);
    fillArchives(archives, versions);
    if (rollout && rollout.number !== shownRollout && (rollout.is_running || shownRollout)) watch(rollout);
  } catch (error) {
    showProblem(error.message);
  }
}

function draw(versions) {
  const focused = document.activeElement?.dataset?.key;
  const place = byId("versions");
  place.replaceChildren(...(versions.length ? versions.map((version) => card(version, versions)) : [make("p", { class: "empty" }, "Nothing is loaded yet.")]));
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function card(row, versions) {
  const facts = [
    ["Since", row.since && new Date(row.since).toLocaleString()],
    ["Why", row.why],
    ["Workers", `${row.ready_workers} of ${row.workers} ready`],
    ["Waiting", row.pending_requests],
    ["Answered", `${row.requests - row.errors} photos, ${row.errors} errors`],
    ["Time", row.p50_ms == null ? "" : `${row.p50_ms.toFixed(0)} ms or less for half of the requests, ${row.p99_ms.toFixed(0)} ms for 99 of 100`],
  ].filter(([, value]) => value !== "");
  return make("article", { class: "card version" },
    make("div", { class: "row apart" }, make("h2", {}, `${row.model} ${row.version}`), make("span", { class: `badge ${row.state}`, title: STATES[row.state] }, row.state)),
    make("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))])),
    row.problem ? make("p", { class: "notice bad" }, row.problem) : null,
    make("div", { class: "row end" }, ...actions(row, versions)));
}

function actions(row, versions) {
  const key = `${row.model} ${row.version}`;
  if (row.state === "live") {
    const previous = versions.find(({ model, state }) => model === row.model && state === "kept");
    if (!previous) return [];
    return [make("button", { type: "button", "data-key": `back ${key}`, onclick: () => act("/api/rollback", { model: row.model }, {
      title: `Go back to ${previous.version}?`, text: `${row.model} ${previous.version} answers again at once. ${row.version} stays loaded. No request is lost.`, yes: "Roll back" }) }, `Roll back to ${previous.version} …`)];
  }
  return [make("button", { type: "button", class: "danger", "data-key": `retire ${key}`, onclick: () => act("/api/retire", { model: row.model, version: row.version }, {
    title: `Retire ${key}?`, text: "It answers what it has accepted, then it is unloaded and its memory is free. Its archive stays in the model store.", yes: "Retire" }) }, "Retire …")];
}

function fillArchives(archives, versions) {
  const select = byId("archive");
  const live = new Set(versions.filter(({ state }) => state === "live").map(({ model, version }) => `${model}-${version}.mar`));
  const names = archives.filter((name) => !live.has(name));
  if (names.join("\n") === [...select.options].map(({ value }) => value).filter(Boolean).join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(...(names.length ? names.map((name) => make("option", { value: name }, name)) : [make("option", { value: "" }, "no other archive there yet")]));
  if (names.includes(chosen)) select.value = chosen;
}

async function act(path, json, { title, text, yes }) {
  if (!await confirmed(title, text, yes)) return;
  showProblem("");
  try {
    watch(await (await call(path, { json })).json());
  } catch (error) {
    showProblem(error.message);
    byId("problem").scrollIntoView({ block: "center" });
  }
}

function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

function watch(rollout) {
  shownRollout = rollout.number;
  stream?.close();
  byId("timeline").hidden = false;
  byId("timeline-title").textContent = rollout.title;
  byId("steps").replaceChildren();
  byId("outcome").hidden = true;
  byId("timeline").scrollIntoView({ block: "nearest" });
  stream = new EventSource("/api/timeline");
  stream.addEventListener("step", ({ data }) => {
    const { after_s, step } = JSON.parse(data);
    byId("steps").append(make("li", {}, make("time", {}, `${after_s.toFixed(1)} s`), step));
  });
  stream.addEventListener("end", ({ data }) => {
    stream.close();
    const { succeeded } = JSON.parse(data);
    const outcome = byId("outcome");
    outcome.className = `notice ${succeeded ? "good" : "bad"}`;
    outcome.textContent = succeeded ? "Done." : "Not done. The last line says why; what was live before still answers.";
    outcome.hidden = false;
    refresh();
  });
}

byId("promote").addEventListener("submit", (event) => {
  event.preventDefault();
  const json = Object.fromEntries(new FormData(event.target));
  json.allow_class_change = byId("allow_class_change").checked;
  act("/api/promote", json, { title: `Make ${json.archive} live?`, text: "It is loaded and checked first. The version before it answers until then, and stays loaded for going back. No request is lost.", yes: "Make it live" });
});
refresh();
setInterval(refresh, REFRESH_MS);
