// The lanes: a fixed pool of rows, keyed by order, that stands still when a person asks it to.

import { count, duration, niceScale } from "./format.js";
import { setHidden, setText } from "./dom.js";
import { RowView } from "./row.js";

const POOL = 40;
/** The part of the bars that the scale has room for; the rest are drawn broken off. */
const USUAL = 0.9;
const MOST_MOVED = 8;
const SHRINK_AFTER_MS = 4000;
const POINTED_MS = 2500;
/** Orders a second from which rows run away under the pointer, and pass by unread. */
const FAST = 4;
/** How often rows are painted that nobody sees, while orders pass by. */
const UNSEEN_MS = 1000;

export class Lanes {
  constructor(root, template) {
    this.template = template;
    this.paused = false;
    this.pointedAt = -Infinity;
    this.views = new WeakMap();
    this.sight = new IntersectionObserver((entries) => this.see(entries));
    this.adopt(root);
  }

  /** Take over what the server rendered: at first, and after a filter replaced it. */
  adopt(root) {
    this.root = root;
    this.body = root.querySelector("tbody");
    this.empty = root.querySelector(".empty");
    this.passing = root.querySelector("[data-fact=passing]");
    this.hold = root.querySelector(".hold");
    this.scales = root.querySelectorAll("[data-fact=scale]");
    this.names = { control: root.dataset.control, dark: root.dataset.dark };
    this.sight.disconnect();
    this.rows = [...this.body.rows].map((element) => this.watch(element));
    this.paintedAllAt = -Infinity;
    this.scaleMs = Number(root.dataset.scale);
    this.roomySince = null;
    this.heldOrders = null;
    this.pointedAt = -Infinity;
    this.body.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") this.pointedAt = performance.now();
    });
    this.body.addEventListener("pointerleave", () => (this.pointedAt = -Infinity));
    // Whoever comes to a row from below has it as it is before it is read out.
    this.body.addEventListener("focusin", () => this.rows.forEach((view) => view.paint()));
  }

  get lens() {
    return this.root.dataset.lens;
  }

  get isSearch() {
    return this.root.dataset.query !== "";
  }

  /** Why the rows stand still; empty while they live. */
  held(frame) {
    if (this.paused) return "paused";
    const pointed = performance.now() - this.pointedAt < POINTED_MS;
    const focused = this.body.contains(document.activeElement);
    if (frame.rate > FAST && (pointed || focused)) return "held while you are on a row";
    return "";
  }

  paint(frame) {
    if (frame.lens !== this.lens || frame.version !== this.names.dark) return;
    const held = this.isSearch ? "search" : this.held(frame);
    if (held) {
      this.paintKnown(frame);
      if (held !== "search") this.sayHeld(held, frame);
      return;
    }
    this.heldOrders = null;
    setText(this.hold, "");
    this.rescale(frame.rows);
    this.paintAll(frame.rows, frame.rate <= FAST);
    setHidden(this.empty, frame.rows.length > 0);
    this.sayPassing(frame);
  }

  /** Every row of the frame, in its order; those that nobody sees only now and then. */
  paintAll(rows, isCalm) {
    const shown = rows.slice(0, POOL);
    this.arrange(shown);
    const now = performance.now();
    const all = isCalm || now - this.paintedAllAt > UNSEEN_MS;
    if (all) this.paintedAllAt = now;
    shown.forEach((row, index) => {
      const view = this.rows[index];
      view.give(row, this.names, this.scaleMs, isCalm);
      if (all || view.isSeen) view.paint();
    });
  }

  watch(element) {
    const view = new RowView(element);
    this.views.set(element, view);
    this.sight.observe(element);
    return view;
  }

  /** A row for another place: seen until the browser, asked anew, says that it is not. */
  recycle(view) {
    view.isSeen = true;
    this.sight.unobserve(view.element);
    this.sight.observe(view.element);
    return view;
  }

  /** Rows have come into sight, or left it. */
  see(entries) {
    for (const { target, isIntersecting } of entries) {
      const view = this.views.get(target);
      view.isSeen = isIntersecting;
      if (isIntersecting) view.paint();
    }
  }

  /**
   * An element stays with its order while it is shown. When most rows are new nobody can follow
   * one, and elements stay where they are: moving them costs more than filling them anew.
   */
  arrange(shown) {
    const wanted = new Set(shown.map((row) => row.id));
    const kept = new Map(this.rows.filter((view) => wanted.has(view.id)).map((v) => [v.id, v]));
    const free = this.rows.filter((view) => !wanted.has(view.id));
    if (shown.length === this.rows.length && free.length > MOST_MOVED) return;
    const other = () => (free.length ? this.recycle(free.pop()) : this.grow());
    this.rows = shown.map((row) => kept.get(row.id) ?? other());
    for (const view of free) {
      this.sight.unobserve(view.element);
      view.element.remove();
    }
    let after = null;
    for (const { element } of [...this.rows].reverse()) {
      if (element.nextElementSibling !== after || element.parentNode !== this.body) {
        this.body.insertBefore(element, after);
      }
      after = element;
    }
  }

  /** Only what is on the page goes on being completed in place. */
  paintKnown(frame) {
    const byId = new Map(frame.rows.map((row) => [row.id, row]));
    for (const view of this.rows) {
      const row = byId.get(view.id);
      if (row) view.give(row, this.names, this.scaleMs, false);
      view.paint();
    }
  }

  grow() {
    return this.watch(this.template.content.firstElementChild.cloneNode(true));
  }

  /** The scale grows at once and shrinks only after a while, so that bars do not jump about. */
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

  sayHeld(why, frame) {
    this.heldOrders ??= frame.orders;
    const newer = frame.orders - this.heldOrders;
    setText(this.hold, newer > 0 ? `${why}, ${count(newer)} newer` : why);
  }

  sayPassing(frame) {
    const shown = frame.rows.length;
    const looked = frame.looked_at
      ? `; looked at the newest ${count(frame.looked_at)} pairs with another result`
      : "";
    if (!shown) return setText(this.passing, looked.slice(2));
    const which = this.lens === "all" ? `${shown}` : `${shown} ${this.lens}`;
    const fast = this.lens === "all" && frame.rate > FAST;
    const passing = fast ? `; ${count(Math.round(frame.rate))} orders/s` : "";
    setText(this.passing, `newest ${which} of ${count(frame.orders)} orders${passing}${looked}`);
  }
}
