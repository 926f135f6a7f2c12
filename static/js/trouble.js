// Shows that requests of htmx fail, and why if the server says so, until one succeeds.

import { localize } from "./times.js";

/** What each message says when the server can't be reached. */
const unreachable = new WeakMap();

/** The error in the page that the server answers with. */
export function reason(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  localize(page);
  const text = page.querySelector("[role=alert]")?.textContent ?? "";
  return text.replace(/\s+/g, " ").trim();
}

function show(isTrouble, why = "") {
  for (const message of document.querySelectorAll("[data-trouble]")) {
    if (!unreachable.has(message)) unreachable.set(message, message.textContent);
    message.textContent = why || unreachable.get(message);
    message.hidden = !isTrouble;
  }
}

for (const trouble of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(trouble, () => show(true));
}
document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  show(true, status === 403 ? reason(responseText) : "");
});
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) show(false);
});
