import { byId, call, make, showProblem } from "./base.js";

const REFRESH_MS = 5000;
const STATES = { live: "answers now", kept: "ready to go back to", loaded: "loaded beside" };
const GROUPS = [["Not loaded yet", (state) => !state], ["Loaded already: these go live at once", (state) => state === "kept" || state === "loaded"]];
let stream = null;
let shownRollout = "";
let refused = ""; // Why the last change was not begun: it stays until the next one.

async function refresh() {
  try {
    const { versions, archives, rollout } = await (await call("/api/versions", { isBackground: true })).json();
    showProblem(refused);
    draw(versions);
    fillArchives(archives);
    // The one that ran last is shown after a reload too, and so is one that somebody else has begun.
    if (rollout && keyOf(rollout) !== shownRollout) watch(rollout);
  } catch (error) {
    showProblem(error.message);
  }
}

const keyOf = ({ number, began }) => `${number} ${began}`;

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
    ["In the queue", row.pending_requests],
    ["Answered", `${row.requests - row.errors} photos, ${row.errors} errors`],
    ["Time", row.p50_ms == null ? "" : `half of the requests in ${row.p50_ms.toFixed(0)} ms, 99 of 100 in ${row.p99_ms.toFixed(0)} ms`],
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

function fillArchives(archives) {
  const select = byId("archive");
  const shown = JSON.stringify(archives);
  if (select.dataset.shown === shown) return;
  select.dataset.shown = shown;
  const chosen = select.value;
  const groups = GROUPS.map(([label, belongs]) => [label, archives.filter(({ state }) => belongs(state))]).filter(([, members]) => members.length);
  select.replaceChildren(...(groups.length
    ? groups.map(([label, members]) => make("optgroup", { label }, ...members.map(({ name, state }) => make("option", { value: name }, state ? `${name} (${state})` : name))))
    : [make("option", { value: "" }, "there is no other version yet")]));
  if (archives.some(({ name, state }) => name === chosen && state !== "live")) select.value = chosen;
}

async function act(path, json, { title, text, yes }) {
  if (!await confirmed(title, text, yes)) return;
  refused = "";
  try {
    watch(await (await call(path, { json })).json());
    byId("timeline").scrollIntoView({ block: "nearest" });
  } catch (error) {
    refused = error.message;
    byId("problem").scrollIntoView({ block: "center" });
  }
  showProblem(refused);
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
  shownRollout = keyOf(rollout);
  stream?.close();
  byId("timeline").hidden = false;
  byId("timeline-title").textContent = rollout.title;
  byId("began").textContent = `Begun on ${new Date(rollout.began * 1000).toLocaleString()}.`;
  byId("steps").replaceChildren();
  byId("outcome").hidden = true;
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
  stream.addEventListener("error", () => {
    // The browser connects again by itself, except where it was refused: then the next refresh begins anew.
    if (stream.readyState === EventSource.CLOSED) shownRollout = "";
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
