// The charts: the control's line under the dark version's, on one axis that starts at zero.

import { clock } from "../times.js";
import { duration, rate } from "./format.js";
import { setBusy, setHidden, setText } from "./dom.js";
import { FONT, Palette } from "./palette.js";
import { Plot } from "./plot.js";
import { highestOf, lastFilled, lastOf, lonePoints, longGaps, usual, withoutLead } from "./points.js";

/** Sizes are in rem, as the page's are. */
const NARROW = 30;
const LABEL_ROOM = 6.5;
const NARROW_ROOM = 2.25;
/** The width of a character of an axis, as a part of its font's size; generous. */
const CHARACTER = 0.6;
/** Points that are so many times higher than what is usual for every line are left out. */
const HEADROOM = 1.5;
/** How often a longer range is read again. */
const LONGER_EVERY_MS = 15000;

const CHARTS = {
  handling: {
    lines: [
      { key: "p99", width: 1.5, dash: [2, 4], spare: true },
      { key: "p95", width: 1, dash: [] },
      { key: "p50", width: 2, dash: [] },
    ],
    capped: true,
    label: (name, key) => `${name} ${key}`,
    write: duration,
    mark: (ms) => duration(ms).replace(".0", ""),
    unit: "ms",
  },
  throughput: {
    lines: [{ key: "handled", width: 2, dash: [] }],
    label: (name) => name,
    write: (perSecond) => (perSecond === null || perSecond === undefined ? "–" : `${rate(perSecond)}/s`),
    mark: (perSecond) => `${perSecond}/s`,
    unit: "orders/s",
  },
};

class Chart extends Plot {
  constructor(figure, palette) {
    super(figure, palette);
    this.kind = CHARTS[figure.dataset.chart];
    document.fonts?.ready.then(() => this.chart?.redraw());
  }

  /** Draw these versions, the control first. */
  show(series, versions, marks) {
    const drawn = versions.filter((version) => series.versions[version.name]);
    const any = drawn.some((version) =>
      series.versions[version.name].handled.some((number) => number > 0),
    );
    this.drawnKey = drawn.map(({ name, role, place }) => `${name} ${role} ${place}`).join();
    this.versions = drawn;
    this.marks = marks;
    const lines = drawn.flatMap((version) =>
      this.kind.lines.map((line) => series.versions[version.name][line.key]),
    );
    this.measured = withoutLead([series.t, ...lines]);
    this.draw(any ? this.cappedData() : null);
  }

  /** The points as they are drawn: what is far above the usual ends a little above the plot. */
  cappedData() {
    const [times, ...lines] = this.measured;
    this.cap = this.kind.capped ? Math.max(1, HEADROOM * Math.max(...lines.map(usual))) : Infinity;
    const beyond = 2 * this.cap;
    const cut = (number) => (number > beyond ? beyond : number);
    return [times, ...lines.map((line) => line.map(cut))];
  }

  options() {
    const { palette } = this;
    const { axis, below, grid, options } = this.common();
    return {
      ...options,
      padding: [18, this.room(), 0, 0],
      cursor: { ...options.cursor, sync: { key: "board" } },
      scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, this.top(max)] } },
      axes: [
        {
          ...below,
          space: 5.6 * palette.rem,
          values: (_u, splits) => splits.map((second) => clock(second, this.timeForm())),
        },
        {
          ...axis,
          size: (_u, values) => this.axisRoom(values),
          gap: 8,
          grid,
          values: (_u, splits) => splits.map((number) => (number ? this.kind.mark(number) : "0")),
        },
      ],
      series: [{}, ...this.versions.flatMap((version) => this.lines(version))],
      hooks: {
        draw: [
          (chart) => this.drawMarks(chart),
          (chart) => this.drawLabels(chart),
          (chart) => this.drawTop(chart),
        ],
        setCursor: [(chart) => this.read(chart.cursor.idx)],
      },
    };
  }

  /** How a time is written on this axis: with the day where there are several. */
  timeForm() {
    const [times] = this.measured;
    return times.at(-1) - times[0] > 86400 ? "jMH:i" : "H:i:s";
  }

  /** The end of the axis: above all points, or above what is usual when some are far from it. */
  top(highest) {
    return Math.max(Math.min((highest ?? 0) * 1.08, this.cap), 1);
  }

  axisRoom(values) {
    const longest = Math.max(6, ...(values ?? []).map((text) => text.length));
    return longest * CHARACTER * FONT * this.palette.rem + 24;
  }

  lines(version) {
    return this.kind.lines.map((line) => ({
      label: this.kind.label(version.name, line.key),
      spare: line.spare,
      stroke: () => this.palette.ofVersion(version),
      width: line.width,
      dash: line.dash,
      points: { show: false, size: 2.5 * line.width, filter: lonePoints },
      gaps: longGaps,
    }));
  }

  isNarrow() {
    return this.plot.clientWidth < NARROW * this.palette.rem;
  }

  room() {
    return (this.isNarrow() ? NARROW_ROOM : LABEL_ROOM) * this.palette.rem;
  }

  /** Each line's name at its end, in the lines' order; p99 goes unnamed where names would meet. */
  drawLabels(chart) {
    if (this.isNarrow()) return;
    const ratio = window.devicePixelRatio || 1;
    const height = 1.2 * FONT * this.palette.rem * ratio;
    const { top } = chart.bbox;
    const bottom = top + chart.bbox.height;
    const all = chart.series
      .map((one, index) => ({ one, last: one.show ? lastOf(chart.data[index]) : null }))
      .slice(1)
      .filter(({ last }) => last !== null)
      .map(({ one, last }) => ({ one, y: Math.max(top, chart.valToPos(last, "y", true)) }))
      .sort((a, b) => a.y - b.y);
    const meet = all.some(({ y }, index) => index > 0 && y - all[index - 1].y < height);
    const labels = meet ? all.filter(({ one }) => !one.spare) : all;
    moveApart(labels, { top, bottom, height });
    const { ctx } = chart;
    ctx.save();
    ctx.font = this.palette.font(ratio);
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    for (const { one, y } of labels) {
      ctx.fillStyle = typeof one.stroke === "function" ? one.stroke() : one.stroke;
      ctx.fillText(one.label, chart.bbox.left + chart.bbox.width + 8 * ratio, y);
    }
    ctx.restore();
  }

  /** Says where the axis ends when there is more above it. */
  drawTop(chart) {
    const shown = this.measured.filter((_, index) => index > 0 && chart.series[index].show);
    const highest = Math.max(0, ...shown.map(highestOf));
    if (highest <= this.cap) return;
    const ratio = window.devicePixelRatio || 1;
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.font = this.palette.font(ratio);
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    const text = `up to ${this.kind.mark(highest)}`;
    const box = ctx.measureText(text).width + 8 * ratio;
    ctx.fillStyle = this.palette.of("paper");
    ctx.fillRect(bbox.left, bbox.top, box, 1.4 * FONT * this.palette.rem * ratio);
    ctx.fillStyle = this.palette.of("ink-2");
    ctx.fillText(text, bbox.left + 4 * ratio, bbox.top + ratio);
    ctx.restore();
  }

  /** Each line of each version, the median first. */
  items() {
    const { lines, label, write } = this.kind;
    return this.versions.flatMap((version, place) =>
      [...lines.keys()].reverse().map((offset) => {
        const at = 1 + place * lines.length + offset;
        return {
          label: label(version.name, lines[offset].key),
          version,
          series: [at],
          write: (index) => write(this.measured[at][index]),
        };
      }),
    );
  }

  say(index) {
    const changed = this.marksAt(index);
    const at = clock(this.measured[0][index], this.timeForm());
    return changed ? `${at}, ${changed}` : at;
  }

  lastPoint() {
    return lastFilled(this.measured);
  }

  columns() {
    const shown = this.items().filter(({ label }) => !this.off.has(label));
    const [times] = this.measured;
    return [
      {
        head: "time",
        values: times,
        write: (second) => clock(second, this.timeForm()),
        raw: (second) => new Date(second * 1000).toISOString(),
      },
      ...shown.map(({ label, series: [at] }) => ({
        head: `${label} (${this.kind.unit})`,
        values: this.measured[at],
        write: this.kind.write,
      })),
      { head: "changes", values: times.map((_, index) => this.marksAt(index)), write: (text) => text },
    ];
  }

  resize() {
    if (this.chart) this.chart.padding = [18, this.room(), 0, 0];
    super.resize();
  }
}

export class Charts {
  constructor(root) {
    const palette = new Palette();
    this.root = root;
    this.range = root.querySelector(".range");
    this.trouble = root.querySelector("output");
    this.charts = [...root.querySelectorAll("[data-chart]")].map(
      (figure) => new Chart(figure, palette),
    );
    /** What is drawn, and the points of a longer range, if one is chosen. */
    this.drawn = [];
    this.longer = null;
    this.frame = null;
    this.range.addEventListener("change", () => this.load());
    setInterval(() => this.charts.some(({ isSeen }) => isSeen) && !document.hidden && this.load(), LONGER_EVERY_MS);
  }

  get chosen() {
    return this.range.querySelector(":checked").value;
  }

  /** Read the points of the chosen range, if it is not that of the frames. */
  async load() {
    const { chosen } = this;
    setText(this.trouble, "");
    let found = null;
    if (chosen !== "recent") {
      try {
        const answer = await fetch(this.range.dataset[chosen]);
        if (!answer.ok) throw new Error(answer.statusText);
        found = await answer.json();
      } catch {
        setText(this.trouble, "This range was not loaded: the server can't be reached.");
        return;
      }
    }
    if (chosen !== this.chosen) return;
    this.longer = found;
    this.draw(this.frame);
  }

  draw(frame) {
    this.frame = frame;
    setHidden(this.root, !frame.orders);
    setBusy(this.root, false);
    const series = this.longer ?? frame.series;
    const { marks } = frame.series;
    const drawn = [series, marks, frame.version];
    if (drawn.every((one, place) => one === this.drawn[place])) return;
    this.drawn = drawn;
    const chosen = frame.versions
      .map((version, place) => ({ ...version, place }))
      .filter((version) => version.role === "control" || version.name === frame.version);
    for (const chart of this.charts) chart.show(series, chosen, marks);
  }
}

/** Move labels, sorted downwards, as far apart as they are high, and keep them in the plot. */
function moveApart(labels, { top, bottom, height }) {
  for (let index = labels.length - 1, lowest = bottom; index >= 0; index -= 1) {
    labels[index].y = Math.min(labels[index].y, lowest);
    lowest = labels[index].y - height;
  }
  for (let index = 0, highest = top; index < labels.length; index += 1) {
    labels[index].y = Math.max(labels[index].y, highest);
    highest = labels[index].y + height;
  }
}
