// What every page shares. Text is set as text, never as HTML: class names and file names may hold anything.

import { signInAgain } from "./sign_in_again.js";

/** Return an element with attributes and children; a text child stays text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Return a name as an element that keeps its writing direction to itself; a name of nothing visible is said so. */
export const nameOf = (text) => make("bdi", {}, /[^\p{C}\p{Z}]/u.test(text) ? text : "(no name)");

export const byId = (id) => document.getElementById(id);

/** Return the answer of the page's server; where the session has ended, once somebody has signed in again.
 *  Throws an Error whose message is for people; `status` is 0 where there was no answer. A look that nobody asked for
 *  (`isBackground`) does not ask for a token twice. */
export async function call(path, options = {}) {
  let response = await send(path, options);
  if (response.status === 401) {
    if (!await signInAgain(options)) throw failure(401, "You are signed out. Load this page again to sign in.");
    await renewCsrfToken();
    response = await send(path, options);
  }
  if (response.ok) return response;
  let answer = await response.json().catch(() => ({}));
  if (answer.code === "csrf_token") {
    // Somebody has signed in again in another tab.
    await renewCsrfToken();
    response = await send(path, options);
    if (response.ok) return response;
    answer = await response.json().catch(() => ({}));
  }
  throw failure(response.status, answer.error || `The page answered ${response.status}.`);
}

async function send(path, { body, json, signal }) {
  const isChange = body !== undefined || json !== undefined;
  const headers = isChange ? { "X-CSRF-Token": csrfToken().content } : {};
  if (json !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method: isChange ? "POST" : "GET", headers, body: json === undefined ? body : JSON.stringify(json), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw failure(0, navigator.onLine
      ? "The page does not answer: it was stopped, or the network is down. Nothing is lost; try again in a moment."
      : "This device is offline. Nothing is lost; try again once it is connected.");
  }
}

const failure = (status, sentence) => Object.assign(new Error(sentence), { status });
const csrfToken = () => document.querySelector("meta[name=csrf-token]");

async function renewCsrfToken() {
  const response = await send("/api/csrf-token", {});
  if (response.ok) csrfToken().content = (await response.json()).csrf_token;
}

/** Show a sentence above the content, or hide it when there is nothing to say. */
export function showProblem(sentence) {
  const place = byId("problem");
  place.hidden = !sentence;
  if (place.textContent !== (sentence || "")) place.textContent = sentence || "";
}

let toastTimer;
export function toast(sentence) {
  byId("toast").textContent = sentence;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { byId("toast").textContent = ""; }, 4000);
}

/** Return a share, 0..1, as people write it; what is not quite 0 is not shown as 0. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(share * 100).toFixed(share > 0.9995 || share === 0 ? 0 : 1)} %`;
}

byId("sign-out")?.addEventListener("click", async () => {
  // With the token of the session of now: another tab may have begun a new one.
  await renewCsrfToken().then(() => send("/api/sign-out", { json: {} })).catch(() => {});
  location.assign("/sign-in");
});
