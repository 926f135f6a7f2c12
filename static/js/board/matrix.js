// The outcome matrix: pairs by what both versions did; a number shows its orders in the lanes.

import { count } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";

/** A link to orders of a kind filters the lanes in place; their own choice of a lens does the rest. */
export function chooseLens(event) {
  const link = event.target.closest("a[data-lens]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const toolbar = document.getElementById("toolbar");
  toolbar.querySelector(`[name=lens][value="${link.dataset.lens}"]`).click();
  const { top } = toolbar.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight / 2) toolbar.scrollIntoView({ block: "start" });
}

export class Matrix {
  constructor(root) {
    this.root = root;
    this.dark = root.querySelector("[data-fact=dark]");
    this.boxes = [...root.querySelectorAll("[data-box]")].map((box) => ({
      box,
      key: box.dataset.box,
      number: box.querySelector("b"),
    }));
    root.addEventListener("click", chooseLens);
  }

  paint(frame, { dark, lens }) {
    setHidden(this.root, !frame.version);
    if (frame.version !== dark) return;
    const place = frame.versions.findIndex((version) => version.name === dark);
    setText(this.dark, dark);
    setData(this.dark, "role", frame.versions[place]?.role ?? "");
    setData(this.dark, "place", String(place));
    for (const { box, key, number } of this.boxes) {
      const pairs = frame.matrix[key] ?? 0;
      setText(number, count(pairs));
      box.toggleAttribute("data-none", !pairs);
      box.toggleAttribute("data-chosen", box.dataset.lens === lens);
    }
  }
}
