import { byId, call, make, nameOf, percent, showProblem, toast } from "./base.js";

// One key a class: 1 to 9, then letters that mean nothing else here.
const KEYS = [..."123456789", ..."abcdefghijklmnopqrtvwxyz"];
const skipped = new Set();
const labelledHere = []; // Ids, the last one at the end: undo must not take back what somebody else has labelled since.
let state = { photos: [], classes: [], waiting: 0, labelled: 0 };
let takenBack = null;
let isBusy = false;

const current = () => state.photos.find(({ id }) => id === takenBack) ?? state.photos.find(({ id }) => !skipped.has(id));

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
  if (photo) drawPhoto(photo);
  else drawEnd();
}

function drawEnd() {
  byId("empty").replaceChildren(state.labelled ? `All done: ${state.labelled} photos are labelled. ` : "No photo is waiting. ",
    state.labelled ? make("button", { type: "button", class: "small", onclick: undo }, "Undo the last label") : "New ones appear here when the server keeps them.");
}

function drawPhoto(photo) {
  const picture = byId("picture");
  const address = `/api/review/photo/${photo.id}`;
  if (picture.getAttribute("src") !== address) picture.src = address;
  picture.alt = `Photo of ${new Date(photo.time).toLocaleString()}`;
  const likely = photo.predictions.flatMap(({ label, probability }, index) => [index ? ", " : "", nameOf(label), ` ${percent(probability)}`]);
  byId("about").replaceChildren(`${photo.version} answered: ${photo.is_unknown ? "none of these; " : ""}`, ...likely);
  drawClasses(photo.predictions[0].label);
}

/** Draw a button a class; they stay from photo to photo, and so does the keyboard's place among them. */
function drawClasses(suggested) {
  const place = byId("classes");
  if (JSON.stringify(state.classes) !== place.dataset.names) {
    place.dataset.names = JSON.stringify(state.classes);
    place.replaceChildren(...state.classes.map((name, index) => make("button", { type: "button", title: name, onclick: () => label(name) },
      KEYS[index] ? make("kbd", {}, KEYS[index].toUpperCase()) : null, nameOf(name))));
  }
  state.classes.forEach((name, index) => place.children[index].classList.toggle("suggested", name === suggested));
}

async function change(work) {
  if (isBusy) return;
  isBusy = true;
  try {
    await work();
    showProblem("");
    await load();
  } catch (error) {
    // Somebody else was faster, or newer photos have taken its place: on to the next one.
    if (error.status === 404 || error.status === 409) await load().catch(() => {});
    showProblem(error.message);
  } finally {
    isBusy = false;
  }
}

const label = (name) => change(async () => {
  const photo = current();
  if (!photo) return;
  await call("/api/review/label", { json: { photo: photo.id, class: name } });
  labelledHere.push(photo.id);
  takenBack = null;
  toast(`Labelled: ${name ?? "none of these"}.`);
});

const undo = () => change(async () => {
  const { photo } = await (await call("/api/review/undo", { json: { photo: labelledHere.at(-1) ?? null } })).json();
  labelledHere.pop();
  takenBack = photo;
  toast(photo ? "The last label is taken back." : "There is no label to take back.");
});

function skip() {
  const photo = current();
  if (!photo) return;
  skipped.add(photo.id);
  takenBack = null;
  if (!current()) skipped.clear();
  draw();
}

/** Label with a class by its name; one that differs from a known class in capitals alone is that class. */
function labelAnother(event) {
  event.preventDefault();
  const name = byId("class-name").value.trim();
  const known = state.classes.find((each) => each.toLowerCase() === name.toLowerCase());
  event.target.reset();
  byId("class-name").blur();
  if (name) label(known ?? name);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches("input") || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  if (key === "+" && current()) {
    event.preventDefault();
    byId("class-name").focus();
  }
  const index = KEYS.indexOf(key);
  if (key === "0") label(null);
  else if (key === "s") skip();
  else if (key === "u") undo();
  else if (index >= 0 && index < state.classes.length) label(state.classes[index]);
});
byId("add").addEventListener("submit", labelAnother);
byId("none").addEventListener("click", () => label(null));
byId("skip").addEventListener("click", skip);
byId("undo").addEventListener("click", undo);
load().catch((error) => showProblem(error.message));
