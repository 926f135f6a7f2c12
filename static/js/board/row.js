// One row of the lanes: an element of the pool, filled with one order after another.

import { delta, duration } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";

const UNSAMPLED = { state: "unsampled", ms: null, error: null, late: false, pair: null };
/** What each mark means; as in dashboard/board/paint_lanes.py. */
const MEANINGS = {
  agree: "agree",
  accepted: "differ only by design, by noise or where a rule says so",
  differ: "differ",
  failed: "failed",
  missing: "missing",
  waiting: "waiting",
  unsampled: "not sampled",
};

function said(cell) {
  if (cell.state === "handled") return duration(cell.ms);
  if (cell.state === "failed" && cell.error) return `failed: ${cell.error}`;
  return cell.state === "unsampled" ? "not sampled" : cell.state;
}

function mark(control, dark, pair) {
  for (const state of ["missing", "failed", "unsampled"]) {
    if (control === state || dark === state) return state;
  }
  if (!pair) return "waiting";
  if (pair.outcome === "differ" && pair.differs.length) return "differ";
  return pair.accepted ? "accepted" : "agree";
}

function differs(pair) {
  return pair.differs.join(", ") + (pair.more ? ` +${pair.more}` : "");
}

function width(ms, scaleMs) {
  return `${(Math.floor(Math.min(ms / scaleMs, 1) * 1000 + 0.5) / 10).toFixed(1)}%`;
}

class CellView {
  constructor(element) {
    this.element = element;
    this.fill = element.querySelector(".fill");
    this.ghost = element.querySelector(".ghost");
    this.tick = element.querySelector(".tick");
    this.said = element.querySelector(".said");
    this.late = element.querySelector(".late");
    this.painted = "";
  }

  paint(cell, scaleMs, tickMs) {
    const look = `${cell.state} ${cell.ms} ${cell.late} ${cell.error} ${scaleMs} ${tickMs}`;
    if (look === this.painted) return;
    this.painted = look;
    const text = said(cell);
    setData(this.element, "state", cell.state);
    this.element.toggleAttribute("data-over", cell.state === "handled" && cell.ms > scaleMs);
    this.fill.setAttribute("width", cell.state === "handled" ? width(cell.ms, scaleMs) : "0");
    const end = tickMs === null ? null : width(tickMs, scaleMs);
    this.tick.setAttribute("x", end ?? "-9");
    this.ghost.setAttribute("width", end ?? "0");
    setText(this.said, text);
    this.said.title = text;
    setHidden(this.late, !cell.late);
  }
}

export class RowView {
  constructor(element) {
    this.element = element;
    this.link = element.querySelector(".number a");
    this.items = element.querySelector(".what span");
    this.note = element.querySelector(".note");
    this.delta = element.querySelector(".delta");
    this.mark = element.querySelector(".mark");
    this.differs = element.querySelector(".differs code");
    this.cells = [...element.querySelectorAll(".cell")].map((cell) => new CellView(cell));
    /** The order that the row is given to, and the one that it was painted of. */
    this.id = this.painted = element.dataset.order;
    this.isSeen = true;
    this.given = null;
  }

  /** What the row is to show, from when `paint` is called; an order that is new is seen to arrive
   *  while `isCalm`. */
  give(row, names, scaleMs, isCalm) {
    this.id = row.id;
    this.given = { row, names, scaleMs, isCalm };
  }

  /** Paint what was given since the last time. */
  paint() {
    if (this.given === null) return;
    const { row, names, scaleMs, isCalm } = this.given;
    this.given = null;
    if (this.take(row)) this.element.classList.toggle("arrived", isCalm);
    this.fill(row, names, scaleMs);
  }

  /** Give the element to an order: its number, its items and its link. True if it is a new one. */
  take(row) {
    if (row.id === this.painted) return false;
    this.link.href = this.link.getAttribute("href").replace(this.painted, row.id);
    this.painted = row.id;
    this.element.dataset.order = row.id;
    setText(this.link, `#${row.number}`);
    setText(this.items, row.items);
    setHidden(this.note, !row.note);
    return true;
  }

  fill(row, names, scaleMs) {
    const control = row.cells[names.control] ?? UNSAMPLED;
    this.cells[0].paint(control, scaleMs, null);
    if (this.cells.length < 2) return;
    const dark = row.cells[names.dark] ?? UNSAMPLED;
    const both = control.state === "handled" && dark.state === "handled";
    const change = both ? delta(control.ms, dark.ms) : "";
    this.cells[1].paint(dark, scaleMs, both ? control.ms : null);
    setText(this.delta, change);
    this.element.toggleAttribute("data-slower", change.startsWith("+"));
    const shape = mark(control.state, dark.state, dark.pair);
    setData(this.element, "mark", shape);
    if (this.mark.title !== MEANINGS[shape]) this.mark.title = MEANINGS[shape];
    const text = shape === "differ" ? differs(dark.pair) : "";
    setText(this.differs, text);
    if (this.differs.title !== text) this.differs.title = text;
  }
}
