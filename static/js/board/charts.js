// The charts: the control's line under the dark version's, on one axis that starts at zero.

import { duration, rate } from "./format.js";
import { setHidden, setText } from "./dom.js";

/** Sizes are in rem, as the page's are. */
const FONT = 0.6875;
const NARROW = 30;
const LABEL_ROOM = 6.5;

const CHARTS = {
  handling: {
    lines: [
      { key: "p99", width: 1, dash: [1, 3] },
      { key: "p95", width: 1, dash: [] },
      { key: "p50", width: 2, dash: [] },
    ],
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

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** A line goes on over a few seconds without orders, and breaks off where nothing was measured. */
const LONGEST_GAP_S = 10;

function longGaps(chart, _series, _from, _to, gaps) {
  const [start] = chart.data[0];
  const position = (second) => chart.valToPos(second, "x", true);
  const longest = position(start + LONGEST_GAP_S) - position(start);
  return gaps.filter(([from, to]) => to - from > longest);
}

/** The points that no line reaches, since nothing was measured near them; they get a dot. */
function lonePoints(chart, series) {
  const [seconds] = chart.data;
  const measured = chart.data[series].flatMap((value, index) => (value === null ? [] : [index]));
  const apart = (one, other) =>
    one === undefined || other === undefined || seconds[other] - seconds[one] > LONGEST_GAP_S;
  return measured.filter(
    (index, place) => apart(measured[place - 1], index) && apart(index, measured[place + 1]),
  );
}

/** The colours of the page as they are now: light or dark. */
class Palette {
  constructor() {
    this.read();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    new MutationObserver(() => this.changed()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    this.listeners = [];
  }

  read() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = Object.fromEntries(
      ["control", "candidate", "baseline", "ink", "ink-2", "hairline", "paper"].map((name) => [
        name,
        colour(name),
      ]),
    );
    this.rem = parseFloat(style.fontSize);
    this.family = colour("font-sans") || "sans-serif";
  }

  font(ratio = 1) {
    return `${FONT * this.rem * ratio}px ${this.family}`;
  }

  of(name) {
    return this.colours[name] ?? this.colours.ink;
  }

  changed() {
    this.read();
    for (const listener of this.listeners) listener();
  }
}

class Chart {
  constructor(figure, palette, group) {
    this.kind = CHARTS[figure.dataset.chart];
    this.plot = figure.querySelector(".plot");
    this.empty = figure.querySelector(".empty");
    this.when = figure.querySelector("figcaption time");
    this.readout = figure.querySelector(".readout");
    this.palette = palette;
    this.group = group;
    this.chart = null;
    this.versions = [];
    this.words = [];
    palette.listeners.push(() => this.chart?.redraw());
    new ResizeObserver(() => this.resize()).observe(this.plot);
    document.fonts?.ready.then(() => this.chart?.redraw());
  }

  /** Draw these versions, the control first. */
  show(series, versions) {
    const drawn = versions.filter((version) => series.versions[version.name]);
    const any = drawn.some((version) =>
      series.versions[version.name].handled.some((number) => number > 0),
    );
    setHidden(this.empty, any);
    if (!any || !window.uPlot) return;
    const names = drawn.map((version) => `${version.name} ${version.role}`).join();
    const data = [series.t];
    for (const version of drawn) {
      for (const line of this.kind.lines) data.push(series.versions[version.name][line.key]);
    }
    const trimmed = withoutLead(data);
    if (this.chart && names === this.names) this.chart.setData(trimmed);
    else this.build(trimmed, drawn, names);
    if (this.chart.cursor.idx === null || this.chart.cursor.left < 0) this.read(null);
  }

  build(data, versions, names) {
    this.chart?.destroy();
    this.names = names;
    this.versions = versions;
    this.buildReadout();
    this.chart = new window.uPlot(this.options(), data, this.plot);
  }

  options() {
    const { palette } = this;
    const axis = {
      stroke: () => palette.of("ink-2"),
      font: palette.font(),
      ticks: { show: false },
    };
    return {
      width: this.plot.clientWidth,
      height: this.plot.clientHeight,
      padding: [10, this.room(), 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        sync: { key: this.group },
        points: { size: 6 },
      },
      scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, Math.max(max * 1.08, 1)] } },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: 5.6 * palette.rem,
          values: (_u, splits) => splits.map((second) => clock.format(second * 1000)),
        },
        {
          ...axis,
          size: 4 * palette.rem,
          gap: 8,
          grid: { stroke: () => palette.of("hairline"), width: 1 },
          values: (_u, splits) => splits.map((number) => (number ? this.kind.mark(number) : "0")),
        },
      ],
      series: [{}, ...this.versions.flatMap((version) => this.lines(version))],
      hooks: {
        draw: [(chart) => this.drawLabels(chart)],
        setCursor: [(chart) => this.read(chart.cursor.idx)],
      },
    };
  }

  lines(version) {
    return this.kind.lines.map((line) => ({
      label: this.kind.label(version.name, line.key),
      stroke: () => this.palette.of(version.role),
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
    return (this.isNarrow() ? 1.5 : LABEL_ROOM) * this.palette.rem;
  }

  /** Each line's name at its end; names that would meet are moved apart. */
  drawLabels(chart) {
    if (this.isNarrow()) return;
    const ratio = window.devicePixelRatio || 1;
    const labels = chart.series
      .map((one, index) => ({ one, last: lastOf(chart.data[index]) }))
      .slice(1)
      .filter(({ last }) => last !== null)
      .map(({ one, last }) => ({ one, y: chart.valToPos(last, "y", true) }))
      .sort((a, b) => a.y - b.y);
    const bottom = chart.bbox.top + chart.bbox.height;
    for (let index = labels.length - 1, least = bottom; index >= 0; index -= 1) {
      labels[index].y = Math.min(labels[index].y, least);
      least = labels[index].y - 1.2 * FONT * this.palette.rem * ratio;
    }
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

  /** Write both versions' numbers at the pointer, or the newest ones. */
  read(index) {
    const { data } = this.chart;
    const at = index ?? lastFilled(data);
    if (at === null || at === undefined) return;
    const per = this.kind.lines.length;
    setText(this.when, clock.format(data[0][at] * 1000));
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
    if (!this.chart) return;
    this.chart.padding = [10, this.room(), 0, 0];
    this.chart.setSize({ width: this.plot.clientWidth, height: this.plot.clientHeight });
  }
}

export class Charts {
  constructor(root) {
    const palette = new Palette();
    this.charts = [...root.querySelectorAll("[data-chart]")].map(
      (figure) => new Chart(figure, palette, "board"),
    );
    this.series = null;
  }

  paint(frame, dark) {
    if (frame.series) this.series = frame.series;
    if (!this.series || (!frame.series && dark === this.dark)) return;
    this.dark = dark;
    const chosen = frame.versions.filter(
      (version) => version.role === "control" || version.name === dark,
    );
    for (const chart of this.charts) chart.show(this.series, chosen);
  }
}

/** Drop the stretch before anything happened, but keep at least a minute. */
function withoutLead(data) {
  const [times, ...lines] = data;
  const first = times.findIndex((_, index) => lines.some((line) => line[index]));
  const minute = times.findIndex((time) => time > times[times.length - 1] - 60);
  const from = Math.max(0, Math.min(first - 2, minute));
  return from > 0 ? data.map((column) => column.slice(from)) : data;
}

function lastOf(column) {
  for (let index = column.length - 1; index >= 0; index -= 1) {
    if (column[index] !== null && column[index] !== undefined) return column[index];
  }
  return null;
}

function lastFilled(data) {
  for (let index = data[0].length - 1; index >= 0; index -= 1) {
    if (data.slice(1).some((column) => column[index])) return index;
  }
  return data[0].length ? data[0].length - 1 : null;
}
