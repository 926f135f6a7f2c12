// The discrepancies by weight: painted from frames, new ones announced, still under a hand.

import { count, part } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";
import { FindingView } from "./finding.js";

const SHOWN = 8;
const NEWS_MS = 20000;
/** As in dashboard/board/paint_findings.py. */
const SCALES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const NOBODY = "00000000-0000-0000-0000-000000000000";

function scaleOf(rows) {
  const longest = Math.max(0, ...rows.flatMap((row) => [row.rate ?? 0, row.noise_rate ?? 0]));
  return SCALES.find((scale) => longest <= scale) ?? 1;
}

function news(found) {
  if (found.length > 1) {
    return `${found.length} new kinds of difference: ${found.map((one) => one.path).join(", ")}`;
  }
  return `New kind of difference: ${found[0].kind.replaceAll("_", " ")} at ${found[0].path}`;
}

export class Findings {
  constructor(root, template) {
    this.root = root;
    this.template = template;
    this.body = root.querySelector("tbody");
    this.empty = root.querySelector(".empty");
    this.news = root.querySelector(".news");
    this.facts = new Map(
      [...root.querySelectorAll("[data-fact]")].map((one) => [one.dataset.fact, one]),
    );
    this.views = [...this.body.rows].map((element) => new FindingView(element));
    const pattern = template.content.querySelector(".values a").getAttribute("href");
    this.orderUrl = (id) => pattern.replace(NOBODY, id);
    this.version = null;
    this.newest = 0;
    this.said = null;
  }

  /** Rows keep their places while somebody points at one or has come to one by keyboard. */
  get isHeld() {
    return this.body.contains(document.activeElement) || this.body.matches(":hover");
  }

  paint(frame, dark) {
    setHidden(this.root, !frame.version);
    if (frame.version !== dark) return;
    const rows = frame.discrepancies;
    const scale = scaleOf(rows);
    this.paintSum(frame, rows.length ? part(scale) : "");
    this.arrange(rows);
    const byId = new Map(rows.map((row) => [row.id, row]));
    for (const view of this.views) {
      const row = byId.get(view.id);
      if (row) view.paint(row, { scale, at: frame.at, orderUrl: this.orderUrl });
    }
    setHidden(this.empty, this.views.length > 0);
    this.announce(frame);
  }

  paintSum(frame, scale) {
    const place = frame.versions.findIndex((version) => version.name === frame.version);
    const dark = this.facts.get("dark");
    setText(dark, frame.version);
    setData(dark, "role", frame.versions[place].role);
    setData(dark, "place", String(place));
    setText(this.facts.get("counting"), count(frame.kinds.counting));
    setText(this.facts.get("carried"), count(frame.kinds.carried));
    setHidden(this.facts.get("carried").parentElement, !frame.kinds.carried);
    setText(this.facts.get("decided"), count(frame.kinds.decided));
    setText(this.facts.get("scale"), scale);
  }

  /** The frame's rows in its order; while they are held, only what there is room for is added. */
  arrange(rows) {
    const wanted = new Set(rows.map((row) => row.id));
    const kept = this.isHeld ? this.views : this.views.filter((view) => wanted.has(view.id));
    const known = new Map(kept.map((view) => [view.id, view]));
    const added = rows.filter((row) => !known.has(row.id));
    let views;
    if (this.isHeld) {
      const room = Math.max(0, SHOWN - kept.length);
      views = [...kept, ...added.slice(0, room).map((row) => this.grow(row))];
    } else {
      views = rows.map((row) => known.get(row.id) ?? this.grow(row));
    }
    for (const view of this.views) if (!views.includes(view)) view.element.remove();
    this.views = views;
    views.forEach(({ element }, index) => {
      if (this.body.rows[index] !== element) {
        this.body.insertBefore(element, this.body.rows[index] ?? null);
      }
    });
  }

  grow(row) {
    const view = new FindingView(this.template.content.firstElementChild.cloneNode(true));
    view.take(row);
    return view;
  }

  /** Say what has come since the last frame; what was there when one began to look is not new. */
  announce(frame) {
    const newest = frame.newest[0]?.id ?? 0;
    const found = frame.newest.filter((one) => one.id > this.newest).reverse();
    const isFirst = frame.version !== this.version;
    this.version = frame.version;
    this.newest = isFirst ? newest : Math.max(this.newest, newest);
    if (isFirst || !found.length) return;
    for (const { id } of found) this.views.find((view) => view.id === id)?.announce();
    const said = document.createElement("span");
    said.textContent = news(found);
    this.news.replaceChildren(said);
    clearTimeout(this.said);
    this.said = setTimeout(() => this.news.replaceChildren(), NEWS_MS);
  }
}
