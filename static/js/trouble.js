// Says on the page that the site does not answer htmx's questions, until it answers again.

function tell(isTrouble) {
  for (const message of document.querySelectorAll("[data-trouble]")) message.hidden = !isTrouble;
}

for (const trouble of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
  document.addEventListener(trouble, () => tell(true));
}
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) tell(false);
});
