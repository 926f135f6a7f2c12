// One row of the lanes: an element of the pool, filled with one order after another.

import { delta, duration, inAddress } from "./format.js";
import { element, setData, setHidden, setText } from "./dom.js";

const UNSAMPLED = { state: "unsampled", ms: null, error: null, late: false, pair: null };
const NO_VERSION = { ...UNSAMPLED, state: "none" };
/** What each mark means. */
const MEANINGS = {
  agree: "agree",
  accepted: "differ only by design, by noise or where a rule says so",
  differ: "differ",
  failed: "failed",
  missing: "missing",
  waiting: "waiting",
  unsampled: "not sampled",
  none: "no dark version",
};

const CELL = `<td role="cell" class="cell"><span class="measure">
  <svg class="bar" aria-hidden="true">
    <rect class="ghost" height="100%"/><rect class="fill" height="100%"/>
    <rect class="tick" width="2" height="100%"/>
  </svg>
  <span class="said"></span><i class="late" hidden>late</i>
</span></td>`;
const ROW = `<tr role="row">
  <th role="rowheader" scope="row" class="number num"><a></a></th>
  <td role="cell" class="what"><span></span><i class="note" title="with a note" hidden>note</i></td>
  ${CELL}
  <td role="cell" class="between"><span class="delta num"></span><span class="mark" role="img"></span></td>
  ${CELL}
  <td role="cell" class="differs"><code></code></td>
</tr>`;

function textOf(cell) {
  if (cell.state === "handled") return duration(cell.ms);
  if (cell.state === "failed" && cell.error) return `failed: ${cell.error}`;
  if (cell.state === "none") return "";
  return cell.state === "unsampled" ? "not sampled" : cell.state;
}

function mark(control, dark, pair) {
  if (dark === "none") return dark;
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
  constructor(root) {
    this.root = root;
    this.fill = root.querySelector(".fill");
    this.ghost = root.querySelector(".ghost");
    this.tick = root.querySelector(".tick");
    this.said = root.querySelector(".said");
    this.late = root.querySelector(".late");
    this.drawn = "";
  }

  draw(cell, scaleMs, tickMs) {
    const all = `${cell.state} ${cell.ms} ${cell.late} ${cell.error} ${scaleMs} ${tickMs}`;
    if (all === this.drawn) return;
    this.drawn = all;
    const text = textOf(cell);
    setData(this.root, "state", cell.state);
    this.root.toggleAttribute("data-over", cell.state === "handled" && cell.ms > scaleMs);
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
  constructor() {
    this.element = element(ROW);
    this.link = this.element.querySelector(".number a");
    this.items = this.element.querySelector(".what span");
    this.note = this.element.querySelector(".note");
    this.delta = this.element.querySelector(".delta");
    this.mark = this.element.querySelector(".mark");
    this.differs = this.element.querySelector(".differs code");
    this.cells = [...this.element.querySelectorAll(".cell")].map((cell) => new CellView(cell));
    /** The order that the row is given to, and the one that it shows. */
    this.id = this.drawn = null;
    this.isSeen = true;
    this.given = null;
  }

  /** What the row is to show, from when `draw` is called; an order that is new is seen to arrive
   *  while `isCalm`. */
  give(row, names, scaleMs, isCalm) {
    this.id = row.id;
    this.given = { row, names, scaleMs, isCalm };
  }

  /** Draw what was given since the last time. */
  draw() {
    if (this.given === null) return;
    const { row, names, scaleMs, isCalm } = this.given;
    this.given = null;
    if (this.take(row)) this.element.classList.toggle("arrived", isCalm);
    this.fill(row, names, scaleMs);
  }

  /** Give the element to an order: its number, its items and its link. True if it is a new one. */
  take(row) {
    if (row.id === this.drawn) return false;
    this.link.href = `orders/${inAddress(row.id)}/`;
    this.drawn = row.id;
    this.element.dataset.order = row.id;
    setText(this.link, row.name);
    setText(this.items, row.items);
    setHidden(this.note, !row.note);
    return true;
  }

  fill(row, names, scaleMs) {
    const control = row.cells[names.control] ?? UNSAMPLED;
    const dark = names.dark ? (row.cells[names.dark] ?? UNSAMPLED) : NO_VERSION;
    const both = control.state === "handled" && dark.state === "handled";
    const change = both ? delta(control.ms, dark.ms) : "";
    this.cells[0].draw(control, scaleMs, null);
    this.cells[1].draw(dark, scaleMs, both ? control.ms : null);
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
