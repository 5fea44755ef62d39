import { byId, call, make, percent, showProblem, toast } from "./base.js";

// One key a class: 1 to 9, then letters that mean nothing else here.
const KEYS = [..."123456789", ..."abcdefghijklmnopqrtvwxyz"];
const skipped = new Set();
let state = { photos: [], classes: [], waiting: 0, labelled: 0 };
let isBusy = false;

const current = () => state.photos.find(({ id }) => !skipped.has(id));

async function load() {
  state = await (await call("/api/review")).json();
  if (!current() && skipped.size && state.photos.length) skipped.clear();
  draw();
}

function draw() {
  const photo = current();
  byId("photo").hidden = !photo;
  byId("empty").hidden = Boolean(photo);
  byId("progress").textContent = `${state.labelled} labelled, ${state.waiting} to go.`;
  if (!photo) {
    byId("empty").replaceChildren(state.labelled ? `All done: ${state.labelled} photos are labelled. ` : "No photo is waiting. ",
      state.labelled ? make("button", { type: "button", class: "small", onclick: undo }, "Undo the last label") : "New ones appear here when the server keeps them.");
    return;
  }
  const likely = photo.predictions.map(({ label, probability }) => `${label} ${percent(probability)}`).join(", ");
  const picture = byId("picture");
  picture.src = `/api/review/photo/${photo.id}`;
  picture.alt = `Photo of ${new Date(photo.time).toLocaleString()}`;
  byId("about").textContent = `${photo.version} answered: ${photo.is_unknown ? "none of these; " : ""}${likely}`;
  const suggested = photo.predictions[0].label;
  byId("classes").replaceChildren(...state.classes.map((name, index) => make("button", {
    type: "button", class: name === suggested ? "suggested" : "", onclick: () => label(name) },
    KEYS[index] ? make("kbd", {}, KEYS[index].toUpperCase()) : null, make("span", {}, name))));
}

async function change(work) {
  if (isBusy) return;
  isBusy = true;
  try {
    await work();
    showProblem("");
    await load();
  } catch (error) {
    showProblem(error.message);
  } finally {
    isBusy = false;
  }
}

const label = (name) => change(async () => {
  const photo = current();
  if (!photo) return;
  await call("/api/review/label", { json: { photo: photo.id, class: name } });
  toast(`Labelled: ${name ?? "none of these"}.`);
});

const undo = () => change(async () => {
  const { photo } = await (await call("/api/review/undo", { json: {} })).json();
  toast(photo ? "The last label is taken back." : "There is no label to take back.");
  skipped.delete(photo);
});

function skip() {
  const photo = current();
  if (!photo) return;
  skipped.add(photo.id);
  if (!current()) skipped.clear();
  draw();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  const index = KEYS.indexOf(key);
  if (key === "0") label(null);
  else if (key === "s") skip();
  else if (key === "u") undo();
  else if (index >= 0 && index < state.classes.length) label(state.classes[index]);
});
byId("none").addEventListener("click", () => label(null));
byId("skip").addEventListener("click", skip);
byId("undo").addEventListener("click", undo);
load().catch((error) => showProblem(error.message));
