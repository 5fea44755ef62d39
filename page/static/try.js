import { byId, call, make, percent, showProblem, toast } from "./base.js";
import { commandsFor } from "./commands.js";

const PHOTOS_MAX = 50;
const AT_ONCE = 3;
let server = null;
const shown = []; // {file, url, card}, the newest first

async function loadModels() {
  server = await (await call("/api/models")).json();
  byId("model").replaceChildren(...server.models.map(({ name }) => make("option", { value: name }, name)));
  if (!server.models.length) showProblem("No model is loaded yet. Wait until the server is ready and load this page again.");
  loadVersions();
}

function loadVersions() {
  const model = server.models.find(({ name }) => name === byId("model").value);
  const versions = model?.versions ?? [];
  const named = versions.map((version) => make("option", { value: version }, version));
  byId("version").replaceChildren(make("option", { value: "" }, model ? `the live one (${model.live})` : "none"), ...named);
  byId("other").replaceChildren(make("option", { value: "" }, "no other version"), ...named.map((option) => option.cloneNode(true)));
}

// A photo that comes before the models are known waits for them.
const ready = loadModels();

function addPhotos(files) {
  const list = [...files].slice(0, PHOTOS_MAX);
  if (files.length > PHOTOS_MAX) toast(`The first ${PHOTOS_MAX} photos are shown.`);
  const added = list.map((file) => {
    const entry = { file, url: URL.createObjectURL(file), card: make("article", { class: "card result" }) };
    shown.push(entry);
    return entry;
  });
  byId("results").prepend(...added.map(({ card }) => card));
  answerAll(added);
}

async function answerAll(entries) {
  // Where the models cannot be read, the sentence at the top says why.
  if (!await ready.then(() => true, () => false)) return;
  const waiting = [...entries];
  const work = async () => { while (waiting.length) await answer(waiting.shift()); };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  byId("count").textContent = entries.length === 1 ? "One photo is answered." : `${entries.length} photos are answered.`;
}

async function answer(entry) {
  const versions = [byId("version").value, ...(byId("other").value ? [byId("other").value] : [])];
  const image = make("img", { src: entry.url, alt: `Your photo ${entry.file.name}` });
  // A browser may lack a format that the server reads, such as HEIC.
  image.addEventListener("error", () => image.replaceWith(make("p", { class: "empty" }, "This browser cannot show this format.")));
  const answers = make("div", { class: "answers" }, make("p", { class: "hint" }, "Asking the server …"));
  entry.card.replaceChildren(
    make("figure", { class: "photo" }, image, make("figcaption", {}, entry.file.name || "pasted photo")),
    make("div", {}, answers, commandBox(entry, versions[0])),
  );
  answers.replaceChildren(...await Promise.all(versions.map((version) => answerOf(entry, version))));
}

async function answerOf(entry, version) {
  const query = new URLSearchParams({ model: byId("model").value, top_k: byId("top-k").value });
  if (version) query.set("version", version);
  try {
    const prediction = await (await call(`/api/predict?${query}`, { body: entry.file })).json();
    const box = make("section", { class: "answer", "aria-label": `Version ${prediction.version}` }, make("div", { class: "main" }, ...describe(prediction)));
    if (byId("heat").checked) box.append(heatMap(entry, query, prediction));
    return box;
  } catch (error) {
    return make("p", { class: "notice bad" }, error.message);
  }
}

function describe(prediction) {
  const isUnknown = prediction.outcome === "unknown";
  const bars = prediction.scores.map(({ label, probability }) => {
    const fill = make("div", { class: "fill" });
    fill.style.width = `${(probability * 100).toFixed(1)}%`;
    return make("li", {},
      make("div", { class: "row apart" }, make("span", { class: "name" }, label), make("span", { class: "share" }, percent(probability))),
      make("div", { class: "track", "aria-hidden": "true" }, fill));
  });
  return [
    make("div", { class: "row apart" }, make("h3", {}, `Version ${prediction.version}`), make("span", { class: "hint" }, `${prediction.milliseconds} ms`)),
    isUnknown ? make("p", {}, make("span", { class: "badge unknown" }, "none of these"), " The photo is unlike what this version was trained on.") : null,
    make("ol", { class: `bars${isUnknown ? " is-unknown" : ""}` }, ...bars),
  ].filter(Boolean);
}

function heatMap(entry, query, prediction) {
  const label = prediction.scores[0].label;
  const box = make("figure", { class: "heat-box photo" }, make("p", { class: "hint" }, "Drawing the heat map …"));
  query.set("class", label);
  query.set("version", prediction.version);
  call(`/api/heat-map?${query}`, { body: entry.file })
    .then((response) => response.blob())
    .then((png) => box.replaceChildren(
      make("img", { class: "heat", src: URL.createObjectURL(png), alt: `Heat map of the photo for ${label}` }),
      make("figcaption", {}, `Warm colours: what spoke for ${label}`)))
    .catch((error) => box.replaceChildren(make("p", { class: "notice bad" }, error.message)));
  return box;
}

function commandBox(entry, version) {
  const request = { ...server, model: byId("model").value, version, topK: byId("top-k").value, file: entry.file.name || "photo.png" };
  const boxes = commandsFor(request).flatMap(([title, text]) => [
    make("h3", {}, title),
    make("div", { class: "code" }, make("pre", { tabindex: "0", role: "region", "aria-label": title }, text),
      make("button", { type: "button", class: "small", "aria-label": `Copy the ${title} lines`, onclick: () => copy(text) }, "Copy")),
  ]);
  return make("details", {}, make("summary", {}, "Send this from a program"), ...boxes);
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
    answerAll([...shown].reverse());
  });
}
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
ready.catch((error) => showProblem(error.message));
