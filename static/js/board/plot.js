// What all plots have in common: a resizable place, axes and labels, a legend that switches series on
// and off and says the numbers at the pointer or the keyboard's place, marks of what changed.

import { setHidden, setText } from "./dom.js";
import { offerCsv, offerTable } from "./numbers.js";
import { FONT } from "./palette.js";

const LABEL_ROOM = 4.5;
/** The shortest time between two drawings. */
const REST_MS = 1000;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

/**
 * A subclass has `options()`; `items()`: what is drawn, each with a `label`, its `series` and
 * `write(index)`, and where it is a version's, its `version`; `say(index)`: what is at a point of the
 * x axis; `columns()`: see numbers.js.
 */
export class Plot {
  constructor(figure, palette) {
    this.plot = figure.querySelector(".plot");
    this.empty = figure.querySelector(".empty");
    this.readout = figure.querySelector(".readout");
    this.when = figure.querySelector("figcaption time");
    this.palette = palette;
    this.chart = null;
    this.data = null;
    this.marks = [];
    /** The labels of what is switched off. */
    this.off = new Set();
    this.isSeen = false;
    this.paintedAt = -Infinity;
    this.paintLater = null;
    palette.listeners.push(() => this.rebuild());
    new ResizeObserver(() => this.resize()).observe(this.plot);
    new IntersectionObserver((entries) => this.see(entries.at(-1).isIntersecting)).observe(figure);
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("blur", () => this.point(null));
    const name = figure.dataset.chart ?? figure.dataset.verdictChart;
    const columns = () => (this.data === null ? [] : this.columns());
    offerCsv(figure, name, columns);
    offerTable(figure, columns);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (this.chart && width) this.chart.setSize({ width, height });
  }

  rebuild() {
    if (this.chart) this.build();
  }

  see(isSeen) {
    this.isSeen = isSeen;
    this.paintSoon();
  }

  draw(data) {
    this.data = data;
    setHidden(this.empty, data !== null);
    this.paintSoon();
  }

  /** Paint what is in view, at most once a second. */
  paintSoon() {
    if (!this.isSeen || this.paintLater !== null) return;
    const wait = Math.max(0, this.paintedAt + REST_MS - performance.now());
    if (wait === 0) return this.paint();
    this.paintLater = setTimeout(() => {
      this.paintLater = null;
      if (this.isSeen) this.paint();
    }, wait);
  }

  paint() {
    if (this.data === null || !window.uPlot || !this.plot.clientWidth) return;
    this.paintedAt = performance.now();
    if (this.chart && this.drawnKey === this.builtFor) this.chart.setData(this.data);
    else this.build();
    if (this.chart.cursor.idx === null || this.chart.cursor.left < 0) this.read(null);
  }

  build() {
    this.chart?.destroy();
    this.builtFor = this.drawnKey;
    this.buildLegend();
    const options = this.options();
    for (const { label, series } of this.items()) {
      for (const place of series) options.series[place].show = !this.off.has(label);
    }
    this.chart = new window.uPlot(options, this.data, this.plot);
    this.plot.setAttribute("aria-valuemax", String(this.data[0].length - 1));
  }

  buildLegend() {
    this.words = [];
    const buttons = this.items().map((item) => {
      const button = document.createElement("button");
      button.type = "button";
      const name = button.appendChild(document.createElement("span"));
      name.textContent = item.label;
      if (item.version) {
        name.className = "version";
        Object.assign(name.dataset, { role: item.version.role, place: item.version.place });
      }
      this.words.push(button.appendChild(document.createElement("b")));
      button.setAttribute("aria-pressed", String(!this.off.has(item.label)));
      button.addEventListener("click", () => this.toggle(item, button));
      return button;
    });
    this.readout.replaceChildren(...buttons);
  }

  toggle({ label, series }, button) {
    const isOn = this.off.delete(label);
    if (!isOn) this.off.add(label);
    button.setAttribute("aria-pressed", String(isOn));
    for (const place of series) this.chart.setSeries(place, { show: isOn });
  }

  /** Write the numbers at a point, or the newest ones. */
  read(index) {
    const at = index ?? this.lastPoint();
    if (at === null || at === undefined) return;
    const items = this.items();
    const texts = items.map(({ write }) => write(at));
    texts.forEach((text, place) => setText(this.words[place], text));
    const said = this.say(at);
    setText(this.when, said);
    const shown = items
      .map(({ label }, place) => (this.off.has(label) ? "" : `${label} ${texts[place]}`))
      .filter(Boolean);
    this.plot.setAttribute("aria-valuenow", String(at));
    this.plot.setAttribute("aria-valuetext", `${said}: ${shown.join(", ")}`);
  }

  lastPoint() {
    return this.data[0].length - 1;
  }

  key(event) {
    if (!this.chart || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.data[0].length - 1;
    const now = this.chart.cursor.idx ?? this.lastPoint();
    const ends = { Home: 0, End: last };
    const next = ends[event.key] ?? now + (STEPS[event.key] ?? NaN);
    if (event.key === "Escape") this.point(null);
    else if (Number.isNaN(next)) return;
    else this.point(Math.min(Math.max(next, 0), last));
    event.preventDefault();
  }

  /** Move the cursor to a point, or away. */
  point(index) {
    if (!this.chart) return;
    const [left, top] = index === null ? [-10, -10] : [this.chart.valToPos(this.data[0][index], "x"), 0];
    this.chart.setCursor({ left, top });
  }

  common() {
    const { palette } = this;
    const axis = { stroke: () => palette.of("ink-2"), font: palette.font(), ticks: { show: false } };
    return {
      axis,
      below: { ...axis, grid: { show: false }, size: 2 * palette.rem },
      grid: { stroke: () => palette.of("hairline"), width: 1 },
      options: {
        width: this.plot.clientWidth,
        height: this.plot.clientHeight,
        padding: [10, LABEL_ROOM * palette.rem, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      },
    };
  }

  /** Texts at the right of the plot, on the heights of their numbers. */
  label(chart, labels) {
    const pixels = window.devicePixelRatio || 1;
    const high = 1.2 * FONT * this.palette.rem * pixels;
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.font = this.palette.font(pixels);
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    let lowest = -Infinity;
    const sorted = labels
      .filter(({ at }) => at !== null)
      .map((one) => ({ ...one, y: chart.valToPos(one.at, "y", true) }))
      .sort((one, other) => one.y - other.y);
    for (const { text, colour, y } of sorted) {
      lowest = Math.max(y, lowest + high);
      ctx.fillStyle = colour;
      ctx.fillText(text, bbox.left + bbox.width + 8 * pixels, lowest);
    }
    ctx.restore();
  }

  /** A line at each mark of a time axis, and its label where there is room. */
  drawMarks(chart) {
    const pixels = window.devicePixelRatio || 1;
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.font = this.palette.font(pixels);
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.strokeStyle = ctx.fillStyle = this.palette.of("ink-2");
    ctx.setLineDash([3 * pixels, 3 * pixels]);
    let free = -Infinity;
    for (const { at, label } of this.marks) {
      const x = Math.round(chart.valToPos(at, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      if (x < free) continue;
      ctx.fillText(label, x, bbox.top - pixels);
      free = x + ctx.measureText(label).width + 6 * pixels;
    }
    ctx.restore();
  }

  /** What changed between a point of a time axis and the next. */
  marksAt(index) {
    const times = this.data[0];
    const start = times[index];
    const end = times[index + 1] ?? start + (start - (times[index - 1] ?? start));
    const found = this.marks.filter(({ at }) => start <= at && at < end);
    return found.map(({ text }) => text).join("; ");
  }
}
