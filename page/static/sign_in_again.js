// The form that comes up where a session has ended, so that what is on the page stays.

const byId = (id) => document.getElementById(id);
let asking = null;
let isPutOff = false;

/** Return whether somebody has signed in again. Calls that come meanwhile wait for the same answer. */
export function signInAgain({ isBackground = false }) {
  if (isBackground && isPutOff) return Promise.resolve(false);
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

function ask() {
  const dialog = byId("sign-in-again");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    isPutOff = dialog.returnValue !== "done";
    resolve(!isPutOff);
  }, { once: true }));
}

async function submit(event) {
  event.preventDefault();
  const problem = byId("sign-in-problem");
  const token = byId("token-again")?.value ?? "";
  try {
    const response = await fetch("/sign-in", { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams({ token }) });
    problem.textContent = response.ok ? "" : (await response.json()).error;
  } catch {
    problem.textContent = "The page does not answer. Try again in a moment.";
  }
  problem.hidden = !problem.textContent;
  if (!problem.textContent) {
    event.target.reset();
    byId("sign-in-again").close("done");
  }
}

byId("sign-in-again")?.querySelector("form").addEventListener("submit", submit);
byId("sign-in-later")?.addEventListener("click", () => byId("sign-in-again").close());
