// The lanes: a pool of rows, keyed by order, that can be paused.

import { count, duration, niceScale } from "./format.js";
import { setBusy, setData, setHidden, setText } from "./dom.js";
import { RowView } from "./row.js";

const POOL = 40;
/** The share of bars that fit the scale; longer ones are drawn broken off. */
const USUAL = 0.9;
const MOST_MOVED = 8;
const SHRINK_AFTER_MS = 4000;
const POINTED_MS = 2500;
/** From this many orders a second on, rows move too fast to be read. */
const FAST = 4;
/** How often rows out of sight are drawn at that rate. */
const UNSEEN_MS = 1000;

export class Lanes {
  constructor(root) {
    this.root = root;
    this.body = root.querySelector("tbody");
    this.heads = root.querySelectorAll("thead .version");
    this.empty = root.querySelector(".empty");
    this.passing = root.querySelector("[data-fact=passing]");
    this.hold = root.querySelector("#hold");
    this.newer = root.querySelector("[data-fact=newer]");
    this.scales = root.querySelectorAll(".scale i");
    this.names = { control: "", dark: "" };
    this.rows = [];
    this.views = new WeakMap();
    this.sight = new IntersectionObserver((entries) => this.see(entries));
    this.paused = false;
    /** The search; while there is one, the lanes show its result. */
    this.query = "";
    this.last = null;
    this.drawnAllAt = -Infinity;
    this.scaleMs = 0;
    this.roomySince = null;
    this.heldOrders = null;
    this.pointedAt = -Infinity;
    this.body.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") this.pointedAt = performance.now();
    });
    this.body.addEventListener("pointerleave", () => (this.pointedAt = -Infinity));
    // Rows out of sight are drawn before a screen reader reaches them.
    this.body.addEventListener("focusin", () => this.rows.forEach((view) => view.draw()));
  }

  get isFocused() {
    return this.body.contains(document.activeElement);
  }

  /** Why the rows are held; empty while they are live. */
  held({ rate, rows }) {
    if (this.paused) return "paused";
    const pointed = performance.now() - this.pointedAt < POINTED_MS;
    const focused = this.isFocused && this.rows.find((view) => view.element.contains(document.activeElement));
    const isLeaving = focused && !rows.some((row) => row.id === focused.id);
    if (isLeaving || (rate > FAST && (pointed || focused))) return "held while you are on a row";
    return "";
  }

  draw(frame) {
    const { dark } = this.names;
    this.head(frame);
    if (this.last && dark !== this.names.dark) this.found(this.last);
    if (this.query) return this.drawKnown(frame);
    const held = this.held(frame);
    if (held) {
      this.drawKnown(frame);
      return this.showHeld(held, frame);
    }
    this.release();
    this.rescale(frame.rows);
    this.drawAll(frame.rows, frame.rate <= FAST);
    this.explainEmpty(frame.filter, !frame.rows.length);
    return this.showPassing(frame);
  }

  /** Wait for the result of a search; an empty one shows the frames again. */
  search(query) {
    this.query = query;
    this.last = null;
    setBusy(this.root, true);
  }

  found(answer) {
    const { q, rows } = answer;
    if (q !== this.query) return;
    this.last = answer;
    this.release();
    this.rescale(rows);
    this.drawAll(rows, true);
    this.explainEmpty("search", !rows.length);
    setText(this.empty.querySelector("q"), q);
    setText(this.passing, `found by “${q}”; clear the search to see orders live`);
  }

  /** Which versions are side by side. */
  head({ versions, version }) {
    const place = versions.findIndex(({ name }) => name === version);
    const role = versions[place]?.role ?? "";
    this.names = { control: versions[0].name, dark: version };
    const [control, dark] = this.heads;
    setText(control, versions[0].name);
    setText(dark, version || "no dark version");
    for (const one of [this.root, dark, dark.parentElement]) setData(one, "role", role);
    setData(this.root, "place", String(Math.max(0, place)));
  }

  /** Draw all rows; those out of sight less often. */
  drawAll(rows, isCalm) {
    const shown = rows.slice(0, POOL);
    this.arrange(shown);
    const now = performance.now();
    const all = isCalm || now - this.drawnAllAt > UNSEEN_MS;
    if (all) this.drawnAllAt = now;
    shown.forEach((row, index) => {
      const view = this.rows[index];
      view.give(row, this.names, this.scaleMs, isCalm);
      if (all || view.isSeen) view.draw();
    });
    setBusy(this.root, false);
  }

  /** A new row. */
  grow() {
    const view = new RowView();
    this.views.set(view.element, view);
    this.sight.observe(view.element);
    return view;
  }

  /** Reuse a row for another place; in sight until the observer says otherwise. */
  recycle(view) {
    view.isSeen = true;
    this.sight.unobserve(view.element);
    this.sight.observe(view.element);
    return view;
  }

  /** Rows came into sight, or left it. */
  see(entries) {
    for (const { target, isIntersecting } of entries) {
      const view = this.views.get(target);
      view.isSeen = isIntersecting;
      if (isIntersecting) view.draw();
    }
  }

  /**
   * An element stays with its order while it is shown, unless most rows are new: then elements stay
   * in their places, because moving them costs more than filling them again.
   */
  arrange(shown) {
    const wanted = new Set(shown.map((row) => row.id));
    const kept = new Map(this.rows.filter((view) => wanted.has(view.id)).map((v) => [v.id, v]));
    const free = this.rows.filter((view) => !wanted.has(view.id));
    const isSame = shown.length === this.rows.length;
    if (isSame && free.length > MOST_MOVED && !this.isFocused) return;
    const other = () => (free.length ? this.recycle(free.pop()) : this.grow());
    this.rows = shown.map((row) => kept.get(row.id) ?? other());
    for (const view of free) {
      this.sight.unobserve(view.element);
      view.element.remove();
    }
    // An element that is moved loses the focus, so those in place are not touched.
    let place = this.body.firstElementChild;
    for (const { element } of this.rows) {
      if (element === place) place = place.nextElementSibling;
      else this.body.insertBefore(element, place);
    }
  }

  /** Update only the orders that are shown. */
  drawKnown(frame) {
    const byId = new Map(frame.rows.map((row) => [row.id, row]));
    for (const view of this.rows) {
      const row = byId.get(view.id);
      if (row) view.give(row, this.names, this.scaleMs, false);
      view.draw();
    }
  }

  /** The scale grows at once but shrinks only after a while, so that bars stay calm. */
  rescale(rows) {
    const names = [this.names.control, this.names.dark];
    const times = rows
      .flatMap((row) => names.map((name) => row.cells[name]))
      .filter((cell) => cell?.state === "handled")
      .map((cell) => cell.ms)
      .sort((one, other) => one - other);
    const needed = niceScale(times[Math.ceil(times.length * USUAL) - 1] ?? 0);
    const now = performance.now();
    if (needed >= this.scaleMs) this.roomySince = null;
    else this.roomySince ??= now;
    const shrink = this.roomySince !== null && now - this.roomySince > SHRINK_AFTER_MS;
    if (needed > this.scaleMs || shrink) {
      this.scaleMs = needed;
      this.roomySince = null;
    }
    for (const scale of this.scales) setText(scale, rows.length ? duration(this.scaleMs) : "");
  }

  /** Explain why there are no rows. */
  explainEmpty(why, isEmpty) {
    setHidden(this.empty, !isEmpty);
    for (const one of this.empty.children) setHidden(one, one.dataset.empty !== why);
  }

  showHeld(why, frame) {
    this.heldOrders ??= frame.orders;
    const newer = frame.orders - this.heldOrders;
    setText(this.hold, why);
    setText(this.newer, newer > 0 ? `, ${count(newer)} newer` : "");
  }

  release() {
    this.heldOrders = null;
    setText(this.hold, "");
    setText(this.newer, "");
  }

  showPassing(frame) {
    const shown = frame.rows.length;
    const looked = frame.looked_at
      ? `; searched the newest ${count(frame.looked_at)} pairs with another result`
      : "";
    if (!shown) return setText(this.passing, looked.slice(2));
    const which = frame.filter === "all" ? `${shown}` : `${shown} ${frame.filter}`;
    return setText(this.passing, `newest ${which} of ${count(frame.orders)} orders${looked}`);
  }
}
