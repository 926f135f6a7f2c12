// Plus and minus for the menu's numbers, which are ordinary fields without this.

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-step]");
  if (!button) return;
  const field = document.getElementById(button.getAttribute("aria-controls"));
  const wanted = (Number(field.value) || 0) + Number(button.dataset.step);
  const allowed = Math.min(Math.max(wanted, Number(field.min)), Number(field.max));
  field.value = allowed || "";
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// None of an item is an empty field, so that what was chosen stands out.
document.addEventListener("change", (event) => {
  if (event.target.matches("#menu input") && Number(event.target.value) === 0) {
    event.target.value = "";
  }
});

// "Back" to a page that has placed its order: a new page, which may place a new one.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// The order came back with a problem: the button that sent it keeps the focus, and the page its place.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id !== "order" || document.querySelector("#order [autofocus]")) return;
  document.getElementById("place").focus({ preventScroll: true });
});
