import { byId, call, make, nameOf, percent, showProblem, toast } from "./base.js";
import { commandsFor } from "./commands.js";

const PHOTOS_MAX = 200;
const AT_ONCE = 3;
const RETRY_MS = 5000;
let server = null;
let round = new AbortController(); // Ends when a setting changes: what was asked with the old ones is not shown.
let waiting = [];
let working = 0;
const shown = []; // {file, url, card, isAnswered}, the newest last
const problems = { models: "", photos: "" }; // What is missing on the server, and what is wrong with what was added.

/** Set the sentence about the models or the photos; each stays until its own cause is gone. */
function setProblem(cause, sentence) {
  problems[cause] = sentence;
  showProblem(Object.values(problems).filter(Boolean).join(" "));
}

/** Return once the server has a model; until then the sentence at the top says what is missing. */
async function loadModels() {
  for (let problem = await askModels(); problem; problem = await askModels()) {
    setProblem("models", `${problem} It is asked again every 5 seconds, and photos that you add wait for it.`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  setProblem("models", "");
  byId("model").replaceChildren(...server.models.map(({ name }) => make("option", { value: name }, name)));
  loadVersions();
}

async function askModels() {
  try {
    server = await (await call("/api/models", { isBackground: true })).json();
    return server.models.length ? "" : "No model is loaded yet.";
  } catch (error) {
    return error.message;
  }
}

function loadVersions() {
  const model = server.models.find(({ name }) => name === byId("model").value);
  const versions = model?.versions ?? [];
  const named = versions.map((version) => make("option", { value: version }, version));
  byId("version").replaceChildren(make("option", { value: "" }, model ? `live (${model.live})` : "none"), ...named);
  byId("other").replaceChildren(make("option", { value: "" }, "no other"), ...named.map((option) => option.cloneNode(true)));
}

// A photo that comes before the models are known waits for them.
const ready = loadModels();

function addPhotos(files) {
  const left = PHOTOS_MAX - shown.length;
  const list = [...files].slice(0, left);
  setProblem("photos", files.length > left ? `A page holds ${PHOTOS_MAX} photos: ${list.length} of ${files.length} were added. Remove those that are here, then add the others.` : "");
  const added = list.map((file) => {
    const entry = { file, url: URL.createObjectURL(file), card: make("article", { class: "card result" }), isAnswered: false };
    drawPhoto(entry);
    return entry;
  });
  shown.push(...added);
  byId("results").prepend(...added.map(({ card }) => card));
  answerAll(added);
}

function removeAll() {
  round.abort();
  round = new AbortController();
  waiting = [];
  for (const { url } of shown) URL.revokeObjectURL(url);
  shown.length = 0;
  byId("results").replaceChildren();
  setProblem("photos", "");
  tell();
  byId("choose").focus();
}

async function answerAll(entries) {
  for (const entry of entries) entry.isAnswered = false;
  waiting.push(...entries);
  tell();
  await ready;
  while (working < AT_ONCE && waiting.length) work();
}

async function work() {
  working += 1;
  while (waiting.length) {
    const entry = waiting.shift();
    const { signal } = round;
    try {
      await answer(entry, signal);
      entry.isAnswered = true;
      tell();
      // A heat map takes several times as long as an answer: the next photo waits for it, or all would ask at once.
      await Promise.all(entry.heatMaps);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }
  working -= 1;
}

/** Say how many photos are answered: to the eye at once, to a screen reader when all are. */
function tell() {
  const count = shown.filter(({ isAnswered }) => isAnswered).length;
  const isDone = count === shown.length;
  byId("added").hidden = !shown.length;
  byId("count").textContent = `${count} of ${shown.length} ${shown.length === 1 ? "photo is" : "photos are"} answered.`;
  byId("done").textContent = isDone && shown.length ? byId("count").textContent : "";
}

function drawPhoto(entry) {
  const image = make("img", { src: entry.url, alt: `Your photo ${entry.file.name}`, loading: "lazy", decoding: "async" });
  // A browser may lack a format that the server reads, such as HEIC.
  image.addEventListener("error", () => image.replaceWith(make("p", { class: "empty" }, "This browser cannot show this format.")));
  entry.answers = make("div", { class: "answers" }, make("p", { class: "hint" }, "Waiting …"));
  entry.card.replaceChildren(
    make("figure", { class: "photo" }, image, make("figcaption", { title: entry.file.name }, nameOf(entry.file.name || "pasted photo"))),
    make("div", {}, entry.answers, commandBox(entry)),
  );
}

async function answer(entry, signal) {
  const versions = [byId("version").value, ...(byId("other").value ? [byId("other").value] : [])];
  entry.answers.replaceChildren(make("p", { class: "hint" }, "Asking the server …"));
  entry.heatMaps = [];
  const problem = await problemOf(entry.file);
  const answers = problem ? [failed(entry, problem)] : await Promise.all(versions.map((version) => answerOf(entry, version, signal)));
  signal.throwIfAborted();
  entry.answers.replaceChildren(...answers);
}

/** Return what is wrong with a file before it is sent; "" if nothing is. */
async function problemOf(file) {
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
  if (file.size > server.limit_bytes) return `This file has ${megabytes(file.size)}; the server takes at most ${megabytes(server.limit_bytes)}. Make the photo smaller, then add it again.`;
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    return "This cannot be read: it is a folder, or the file has changed since it was added. Add the photos themselves.";
  }
  return file.size ? "" : "This file is empty.";
}

async function answerOf(entry, version, signal) {
  const query = new URLSearchParams({ model: byId("model").value, top_k: byId("top-k").value });
  if (version) query.set("version", version);
  try {
    const prediction = await (await call(`/api/predict?${query}`, { body: entry.file, signal })).json();
    const box = make("section", { class: "answer", "aria-label": `Version ${prediction.version}` }, make("div", { class: "main" }, ...describe(prediction)));
    if (byId("heat").checked) box.append(heatMap(entry, prediction, signal));
    return box;
  } catch (error) {
    if (signal.aborted) throw error;
    return failed(entry, error.message, isPassing(error));
  }
}

// Asking again helps where the server or the network failed, and not where the photo is at fault.
const isPassing = ({ status }) => !status || status >= 500 || status === 401 || status === 429;

function failed(entry, sentence, canRetry = false) {
  const again = canRetry ? make("button", { type: "button", class: "small", onclick: () => answerAll([entry]) }, "Try again") : null;
  return make("div", {}, make("p", { class: "notice bad" }, sentence), again);
}

function describe(prediction) {
  const isUnknown = prediction.outcome === "unknown";
  const bars = prediction.scores.map(({ label, probability }) => {
    const fill = make("div", { class: "fill" });
    fill.style.width = `${(probability * 100).toFixed(1)}%`;
    return make("li", {},
      make("div", { class: "row apart" }, make("span", { class: "name", title: label }, nameOf(label)), make("span", { class: "share" }, percent(probability))),
      make("div", { class: "track", "aria-hidden": "true" }, fill));
  });
  return [
    make("div", { class: "row apart" }, make("h3", {}, `Version ${prediction.version}`), make("span", { class: "hint" }, `${prediction.milliseconds} ms`)),
    isUnknown ? make("p", {}, make("span", { class: "badge unknown" }, "none of these"), " The photo is unlike what this version was trained on.") : null,
    make("ol", { class: `bars${isUnknown ? " is-unknown" : ""}` }, ...bars),
  ].filter(Boolean);
}

/** Return the box of the heat map of the likeliest class, which is filled once it is drawn. */
function heatMap(entry, { version, scores }, signal) {
  const box = make("figure", { class: "heat-box photo" }, make("p", { class: "hint" }, "Drawing the heat map …"));
  const query = new URLSearchParams({ model: byId("model").value, version });
  entry.heatMaps.push(call(`/api/heat-map?${query}`, { body: entry.file, signal })
    .then((response) => response.blob())
    .then((png) => box.replaceChildren(
      make("img", { class: "heat", src: URL.createObjectURL(png), alt: `Heat map of the photo for ${scores[0].label}` }),
      make("figcaption", {}, "Warm colours: what spoke for ", nameOf(scores[0].label))))
    .catch((error) => box.replaceChildren(make("p", { class: "notice bad" }, error.message))));
  return box;
}

/** Return the box with the lines to copy, written when it is opened: for the settings of that moment. */
function commandBox(entry) {
  const boxes = make("div");
  const box = make("details", {}, make("summary", {}, "Send this from a program"), boxes);
  box.addEventListener("toggle", () => { if (box.open) boxes.replaceChildren(...commandsOf(entry)); });
  return box;
}

function commandsOf(entry) {
  const request = { ...server, model: byId("model").value, version: byId("version").value, topK: byId("top-k").value, file: entry.file.name || "photo.png" };
  return commandsFor(request).flatMap(([title, text]) => [
    make("div", { class: "row apart" }, make("h3", {}, title),
      make("button", { type: "button", class: "small", "aria-label": `Copy the ${title} lines`, onclick: () => copy(text) }, "Copy")),
    make("div", { class: "code" }, make("pre", { tabindex: "0", role: "region", "aria-label": title }, text)),
  ]);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("The browser does not allow copying here; select the text instead.");
  }
}

for (const id of ["choose", "camera"]) {
  byId(id).addEventListener("change", ({ target }) => { addPhotos(target.files); target.value = ""; });
}
for (const id of ["model", "version", "other", "top-k", "heat"]) {
  byId(id).addEventListener("change", () => {
    if (id === "model") loadVersions();
    round.abort();
    round = new AbortController();
    waiting = [];
    for (const box of document.querySelectorAll("#results details")) box.open = false;
    answerAll([...shown].reverse());
  });
}
byId("remove").addEventListener("click", removeAll);
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) { event.preventDefault(); addPhotos(files); }
});
document.addEventListener("dragover", (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  addPhotos(event.dataTransfer.files);
});
