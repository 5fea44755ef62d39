// What every page shares. Text is set as text, never as HTML: class names and file names may hold anything.

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

export const byId = (id) => document.getElementById(id);

/** Return the answer of the page's server. Throws an Error whose message is for people. */
export async function call(path, { body, json } = {}) {
  const isChange = body !== undefined || json !== undefined;
  const headers = isChange ? { "X-CSRF-Token": document.querySelector("meta[name=csrf-token]").content } : {};
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method: isChange ? "POST" : "GET", headers, body: json === undefined ? body : JSON.stringify(json) });
  } catch {
    throw new Error("The page's own process does not answer. Is headswap page still running?");
  }
  if (response.status === 401) {
    location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
    throw new Error("Signed out. Sign in again.");
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.error || `The page answered ${response.status}.`);
  }
  return response;
}

/** Show a sentence above the content, or hide it when there is nothing to say. */
export function showProblem(sentence) {
  const place = byId("problem");
  place.hidden = !sentence;
  place.textContent = sentence || "";
}

let toastTimer;
export function toast(sentence) {
  byId("toast").textContent = sentence;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { byId("toast").textContent = ""; }, 2500);
}

/** Return a share, 0..1, as people write it; what is not quite 0 is not shown as 0. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(share * 100).toFixed(share > 0.9995 || share === 0 ? 0 : 1)} %`;
}

byId("sign-out")?.addEventListener("click", async () => {
  await call("/api/sign-out", { json: {} }).catch(() => {});
  location.assign("/sign-in");
});
