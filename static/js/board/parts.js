// The parts of the board that the server renders: changes are merged into the page, so that elements
// keep their focus.

import { localize } from "../times.js";
import { wordAges } from "./ages.js";

/** Elements are matched by key, else by position. */
const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? (node.dataset.key ?? "") : "");
const isAlike = (one, other) => one?.nodeName === other.nodeName && keyOf(one) === keyOf(other);

function become(element, wanted) {
  if (element.nodeType !== Node.ELEMENT_NODE) {
    if (element.data !== wanted.data) element.data = wanted.data;
    return;
  }
  for (const name of element.getAttributeNames()) {
    // The reader opens and closes details.
    if (!wanted.hasAttribute(name) && name !== "open") element.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
  fill(element, wanted);
}

/** Make an element's content equal to another's. */
export function fill(element, wanted) {
  const keyed = new Map([...element.children].map((child) => [keyOf(child), child]));
  let place = element.firstChild;
  for (const next of [...wanted.childNodes]) {
    const key = keyOf(next);
    const there = key ? keyed.get(key) : place;
    if (!isAlike(there, next)) {
      element.insertBefore(next, place);
      continue;
    }
    if (there === place) place = place.nextSibling;
    else element.insertBefore(there, place);
    become(there, next);
  }
  while (place) {
    const rest = place.nextSibling;
    place.remove();
    place = rest;
  }
}

/** A link to filtered orders, or to another candidate, sets the lanes' choice instead. */
function choose(event) {
  const link = event.target.closest("a:is([data-filter], [data-version])");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const toolbar = document.getElementById("toolbar");
  if (link.dataset.version) {
    toolbar.elements.version.value = link.dataset.version;
    toolbar.elements.version.dispatchEvent(new Event("change", { bubbles: true }));
    return;
  }
  toolbar.querySelector(`[name=filter][value="${link.dataset.filter}"]`).click();
  const { top } = toolbar.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight / 2) toolbar.scrollIntoView({ block: "start" });
}

export class Parts {
  constructor(board) {
    this.board = board;
    /** New parts that are not shown yet. */
    this.came = new Map();
    /** The newest HTML of each part. */
    this.newest = new Map();
    for (const part of board.querySelectorAll("[data-part]")) {
      this.newest.set(part.dataset.part, part.innerHTML);
    }
    this.adapted = new Map();
    board.addEventListener("click", choose);
  }

  take(parts = {}) {
    for (const [name, html] of Object.entries(parts)) this.came.set(name, html);
  }

  /** Show new parts; returns whether there were any. */
  show() {
    const came = [...this.came];
    this.came.clear();
    for (const [name, html] of came) this.put(name, html);
    return came.length > 0;
  }

  /** Set a function that changes a part before it is shown. */
  adapt(name, change) {
    this.adapted.set(name, change);
  }

  putAgain(name) {
    this.put(name, this.newest.get(name));
  }

  put(name, html) {
    this.newest.set(name, html);
    const template = document.createElement("template");
    template.innerHTML = html;
    localize(template.content);
    wordAges(template.content);
    this.adapted.get(name)?.(template.content);
    fill(this.board.querySelector(`[data-part="${name}"]`), template.content);
  }
}
