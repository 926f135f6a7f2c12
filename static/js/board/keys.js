// The board's keys: those of _keys.html, which ? shows. Escape leaves the search and the launches.

function typing(target) {
  return target.matches("input:not([type=radio]), select, textarea, [contenteditable]");
}

/** The list of launches closes when it loses the reader's interest. */
function closeSwitcher(isEscape) {
  const switcher = document.getElementById("switcher");
  if (isEscape && switcher.contains(document.activeElement)) switcher.querySelector("summary").focus();
  switcher.open = false;
}

export function listenToKeys({ togglePause, review }) {
  const find = document.getElementById("find");
  const filters = document.querySelectorAll("#toolbar [name=filter]");
  const keys = document.getElementById("keys");
  const help = document.getElementById("help");
  help.hidden = false;
  help.addEventListener("click", () => keys.showModal());
  document.addEventListener("click", ({ target }) => {
    if (!target.closest("#switcher")) closeSwitcher(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (event.key === "Escape") {
      closeSwitcher(true);
      if (event.target === find) find.blur();
      return;
    }
    if (typing(event.target)) return;
    const filter = filters[Number(event.key) - 1];
    if (event.key === "p") togglePause();
    else if (event.key === "?") keys.showModal();
    else if (event.key === "/") find.focus();
    else if (filter) filter.click();
    else if (review.key(event.key)) return event.preventDefault();
    else return;
    event.preventDefault();
  });
}
