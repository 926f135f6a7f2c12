// The pages of review: keys that move, select and decide, and how many are selected.

import { logInToDecide } from "./log_in.js";

const DECISIONS = { b: "bug", d: "by_design", n: "noise", o: "open" };

let current = null;
// The row to go on with once the current one is decided on.
let next = null;

const rows = () => [...document.querySelectorAll("#discrepancies [data-discrepancy]")];
const isTyping = (target) =>
  target.matches("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
// Enter belongs to whatever link, button or summary it is pressed on.
const acts = (target) => target.matches("a, button, summary, select");

function select(row) {
  if (!row) return;
  current = row.id;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function move(by) {
  const all = rows();
  const at = all.findIndex((row) => row.id === current);
  select(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))]);
}

function box(row) {
  return row?.querySelector("input[name=seen]");
}

function toggle(row) {
  const chosen = box(row);
  if (!chosen) return;
  chosen.checked = !chosen.checked;
  count();
}

function count() {
  const said = document.querySelector("[data-chosen]");
  if (!said) return;
  const chosen = document.querySelectorAll("#decide input[name=seen]:checked").length;
  said.textContent = chosen ? `${chosen} selected` : "Select some above";
}

// On what is selected, else on the current row; on the page of one, on that one.
function decide(decision) {
  if (logInToDecide(document)) return;
  const form = document.getElementById("decide");
  const button = form?.querySelector(`button[value=${decision}]`);
  if (!button || button.hidden) return;
  const all = rows();
  if (all.length && !form.querySelector("input[name=seen]:checked")) {
    const at = all.findIndex((row) => row.id === current);
    const chosen = box(all[at]);
    if (!chosen) return;
    chosen.checked = true;
    next = (all[at + 1] ?? all[at - 1])?.id ?? null;
  }
  button.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const find = document.getElementById("find");
  if (event.key === "Escape" && isTyping(event.target)) return event.target.blur();
  if (isTyping(event.target)) return;
  const row = document.getElementById(current);
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "x") toggle(row);
  else if (event.key in DECISIONS) decide(DECISIONS[event.key]);
  else if (event.key === "/" && find) find.focus();
  else if (event.key === "Enter" && row && !acts(event.target)) row.querySelector("a").click();
  else return;
  event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("#decide input[name=seen]")) count();
});
document.addEventListener("focusin", (event) => {
  const row = event.target.closest("#discrepancies [data-discrepancy]");
  if (row) current = row.id;
});
// What was decided on moves down the list: the next row is the one that came after it. After a
// refusal the place stays.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "discrepancies") return;
  count();
  const refused = document.querySelector("#discrepancies .conflicts .problem");
  const follows = refused ? current : (next ?? current);
  next = null;
  // htmx has given the focus back to what had it; who has gone on to type is left alone.
  if (document.activeElement.matches("body, tr")) select(document.getElementById(follows));
});
