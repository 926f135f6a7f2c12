// The board's keys: p pauses, / searches, 1 to 4 choose the lens, Escape leaves the search.

function typing(target) {
  return target.matches("input:not([type=radio]), select, textarea, [contenteditable]");
}

export function listenToKeys({ togglePause }) {
  const find = document.getElementById("find");
  const lenses = document.querySelectorAll("#toolbar [name=lens]");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target === find) return find.blur();
    if (typing(event.target)) return;
    const lens = lenses[Number(event.key) - 1];
    if (event.key === "p") togglePause();
    else if (event.key === "/") find.focus();
    else if (lens) lens.click();
    else return;
    event.preventDefault();
  });
}
