// The board's keys: p pauses, / searches, 1 to 5 choose the filter, Escape leaves the search; those of
// the discrepancies are theirs.

function typing(target) {
  return target.matches("input:not([type=radio]), select, textarea, [contenteditable]");
}

export function listenToKeys({ togglePause, review }) {
  const find = document.getElementById("find");
  const filters = document.querySelectorAll("#toolbar [name=filter]");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target === find) return find.blur();
    if (typing(event.target)) return;
    const filter = filters[Number(event.key) - 1];
    if (event.key === "p") togglePause();
    else if (event.key === "/") find.focus();
    else if (filter) filter.click();
    else if (review.key(event.key)) return event.preventDefault();
    else return;
    event.preventDefault();
  });
}
