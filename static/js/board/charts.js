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

const CHARTS = {
  handling: {
    lines: [
      { key: "p99", width: 1, dash: [1, 3], spare: true },
      { key: "p95", width: 1, dash: [] },
      { key: "p50", width: 2, dash: [] },
    ],
    capped: true,
    label: (name, key) => `${name} ${key}`,
    write: duration,
    mark: (ms) => duration(ms).replace(".0", ""),
  },
  throughput: {
    lines: [{ key: "handled", width: 2, dash: [] }],
    label: (name) => name,
    write: (perSecond) => `${rate(perSecond)}/s`,
    mark: (perSecond) => `${perSecond}/s`,
  },
};

class Chart extends Plot {
  constructor(figure, palette) {
    super(figure, palette);
    this.kind = CHARTS[figure.dataset.chart];
    this.when = figure.querySelector("figcaption time");
    document.fonts?.ready.then(() => this.chart?.redraw());
  }

  /** Draw these versions, the control first. */
  show(series, versions) {
    const drawn = versions.filter((version) => series.versions[version.name]);
    const any = drawn.some((version) =>
      series.versions[version.name].handled.some((number) => number > 0),
    );
    this.key = drawn.map(({ name, role, place }) => `${name} ${role} ${place}`).join();
    this.versions = drawn;
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

  build() {
    this.buildReadout();
    super.build();
  }

  options() {
    const { palette } = this;
    const { axis, grid, options } = this.common();
    return {
      ...options,
      padding: [10, this.room(), 0, 0],
      cursor: { ...options.cursor, sync: { key: "board" } },
      scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, this.top(max)] } },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 5.6 * palette.rem,
          values: (_u, splits) => splits.map((second) => clock(second, "H:i:s")),
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
        draw: [(chart) => this.drawLabels(chart), (chart) => this.drawTop(chart)],
        setCursor: [(chart) => this.read(chart.cursor.idx)],
      },
    };
  }

  /** The end of the axis: above all points, or above what is usual when some are far from it. */
  top(highest) {
    return Math.max(Math.min(highest * 1.08, this.cap), 1);
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
      .map((one, index) => ({ one, last: lastOf(chart.data[index]) }))
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
    const highest = Math.max(...this.measured.slice(1).map(highestOf));
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

  /** Write both versions' numbers at the pointer, or the newest ones. */
  read(index) {
    const data = this.measured;
    const at = index ?? lastFilled(data);
    if (at === null || at === undefined) return;
    const per = this.kind.lines.length;
    setText(this.when, clock(data[0][at], "H:i:s"));
    this.versions.forEach((version, place) => {
      const words = this.words[place];
      this.kind.lines.forEach((line, offset) => {
        const number = data[1 + place * per + offset][at];
        setText(words[offset], number === null || number === undefined ? "–" : this.kind.write(number));
      });
    });
  }

  /** The places of the numbers under the chart's title: a version's name and its lines. */
  buildReadout() {
    this.words = [];
    const parts = this.versions.map((version) => {
      const part = document.createElement("span");
      const name = part.appendChild(document.createElement("span"));
      name.className = "version";
      name.dataset.role = version.role;
      name.dataset.place = version.place;
      name.textContent = version.name;
      const words = this.kind.lines.map(() => document.createElement("b"));
      [...this.kind.lines.keys()].reverse().forEach((offset) => {
        const { key } = this.kind.lines[offset];
        if (words.length > 1) part.append(` ${key}`);
        part.append(words[offset]);
      });
      this.words.push(words);
      return part;
    });
    this.readout.replaceChildren(...parts);
  }

  resize() {
    if (this.chart) this.chart.padding = [10, this.room(), 0, 0];
    super.resize();
  }
}

export class Charts {
  constructor(root) {
    const palette = new Palette();
    this.root = root;
    this.charts = [...root.querySelectorAll("[data-chart]")].map(
      (figure) => new Chart(figure, palette),
    );
    this.series = null;
  }

  draw(frame) {
    const dark = frame.version;
    setHidden(this.root, !frame.orders);
    setBusy(this.root, false);
    if (frame.series === this.series && dark === this.dark) return;
    this.series = frame.series;
    this.dark = dark;
    const chosen = frame.versions
      .map((version, place) => ({ ...version, place }))
      .filter((version) => version.role === "control" || version.name === dark);
    for (const chart of this.charts) chart.show(this.series, chosen);
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
