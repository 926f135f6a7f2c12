// The effect on handling time with its interval over time, and the threshold.

import { clock } from "../times.js";
import { change, count } from "./format.js";
import { effect, ratio } from "./dots.js";
import { Plot } from "./plot.js";
import { lastOf, usual } from "./points.js";

/** The least that the axis of the effect reaches, as a change of the time. */
const LEAST = 0.05;

export class Narrowing extends Plot {
  show({ history, line }, version, marks) {
    this.version = version;
    this.marks = marks;
    this.drawnKey = `${version.name} ${version.role} ${version.place}`;
    this.line = Math.expm1(line);
    // The warm-up has no effect yet.
    const first = history.estimate.findIndex((number) => number !== null);
    const after = (column) => column.slice(Math.max(first, 0));
    this.orders = after(history.orders);
    const times = after(history.t);
    const columns = [history.estimate, history.lo, history.hi].map((one) => after(one).map(ratio));
    this.draw(first < 0 ? null : [times, ...columns, times.map(() => this.line)]);
  }

  options() {
    const { axis, below, grid, options } = this.common();
    const colour = this.palette.ofVersion(this.version);
    const edge = { stroke: colour, width: 1, points: { show: false } };
    return {
      ...options,
      padding: [18, options.padding[1], 0, 0],
      scales: { x: { time: true }, y: { range: () => this.range() } },
      axes: [
        { ...below, space: 5.6 * this.palette.rem, values: (_u, all) => all.map((one) => clock(one, "H:i:s")) },
        { ...axis, grid, size: 4 * this.palette.rem, gap: 8, values: (_u, all) => all.map((one) => change(one)) },
      ],
      series: [
        {},
        { stroke: colour, width: 2, points: { show: this.data[0].length < 3, size: 5 } },
        edge,
        edge,
        { stroke: this.palette.of("ink"), width: 1.5, dash: [6, 4], points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: `${colour}2e` }],
      hooks: {
        drawClear: [(chart) => this.drawZero(chart)],
        draw: [(chart) => this.drawMarks(chart), (chart) => this.drawEnds(chart)],
        setCursor: [(chart) => this.read(chart.cursor.idx)],
      },
    };
  }

  /** From what is usual for the lower end to what is usual for the upper, with zero and the line. */
  range() {
    const [, estimate, lo, hi] = this.data;
    const lowest = -usual(lo.map((one) => (one === null ? null : -one)));
    const all = [lowest, usual(hi), this.line, 0, ...estimate.filter((one) => one !== null)];
    const [bottom, top] = [Math.min(...all, -LEAST), Math.max(...all, 2 * this.line)];
    const room = 0.06 * (top - bottom);
    return [bottom - room, top + room];
  }

  drawZero(chart) {
    const { ctx, bbox } = chart;
    const y = Math.round(chart.valToPos(0, "y", true));
    ctx.save();
    ctx.fillStyle = this.palette.of("ink-2");
    ctx.fillRect(bbox.left, y, bbox.width, 1);
    ctx.restore();
  }

  drawEnds(chart) {
    const at = lastOf(this.data[1]);
    this.label(chart, [
      { at: this.line, text: "threshold", colour: this.palette.of("ink") },
      { at: 0, text: "no change", colour: this.palette.of("ink-2") },
      { at, text: this.version.name, colour: this.palette.ofVersion(this.version) },
    ]);
  }

  items() {
    const [, estimate, lo, hi] = this.data;
    const write = (at) => effect({ estimate: estimate[at], lo: lo[at], hi: hi[at] }) || "unknown";
    return [
      { label: this.version.name, version: this.version, series: [1, 2, 3], write },
      { label: "threshold", series: [4], write: () => change(this.line) },
    ];
  }

  say(index) {
    const changed = this.marksAt(index);
    const at = `${clock(this.data[0][index], "H:i:s")}, ${count(this.orders[index])} orders`;
    return changed ? `${at}, ${changed}` : at;
  }

  columns() {
    const [times, estimate, lo, hi, line] = this.data;
    const write = (one) => (one === null ? "–" : change(one));
    return [
      {
        head: "time",
        values: times,
        write: (second) => clock(second, "H:i:s"),
        raw: (second) => new Date(second * 1000).toISOString(),
      },
      { head: "orders", values: this.orders, write: count },
      { head: `effect of ${this.version.name}`, values: estimate, write },
      { head: "lower end", values: lo, write },
      { head: "upper end", values: hi, write },
      { head: "threshold", values: line, write },
      { head: "changes", values: times.map((_, index) => this.marksAt(index)), write: (text) => text },
    ];
  }
}
