// Shows that requests of htmx fail, until one succeeds.

function show(isTrouble) {
  for (const message of document.querySelectorAll("[data-trouble]")) message.hidden = !isTrouble;
}

for (const trouble of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
  document.addEventListener(trouble, () => show(true));
}
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) show(false);
});
