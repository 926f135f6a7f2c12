// The verdict's charts: effect over time, distribution, percentiles, segments.

import { count, duration } from "./format.js";
import { setData, setHidden } from "./dom.js";
import { Distribution } from "./distribution.js";
import { columnsOf, drawDots, ratio } from "./dots.js";
import { Narrowing } from "./narrowing.js";
import { offerCsv } from "./numbers.js";
import { Palette } from "./palette.js";

function ladderRows(ladder) {
  return ladder.map((step) => ({
    name: `p${Math.round(step.share * 100)}`,
    cells: [duration(step.control), duration(step.version)],
    estimate: step.change,
    lo: step.lo,
    hi: step.hi,
  }));
}

function segmentName({ kind, name }) {
  if (kind === "hour") return `at ${name}:00 UTC`;
  return kind === "item" ? `with ${name}` : name;
}

/** Two segments of a kind that contrast are marked. */
function segmentRows(segments, contrasts) {
  const marked = new Map(
    contrasts.flatMap(({ kind, faster, slower }) => [
      [`${kind}:${faster}`, "best"],
      [`${kind}:${slower}`, "worst"],
    ]),
  );
  return segments.map((one) => ({
    group: one.kind,
    name: segmentName(one),
    cells: [count(one.orders)],
    estimate: ratio(one.estimate),
    lo: ratio(one.lo),
    hi: ratio(one.hi),
    marked: marked.get(`${one.kind}:${one.name}`),
  }));
}

export class VerdictCharts {
  constructor(root) {
    const palette = new Palette();
    const figure = (name) => root.querySelector(`[data-verdict-chart="${name}"]`);
    this.root = root;
    this.narrowing = new Narrowing(figure("narrowing"), palette);
    this.distribution = new Distribution(figure("distribution"), palette);
    this.ladder = figure("ladder").querySelector(".ladder");
    this.segments = figure("segments").querySelector(".ladder");
    /** What each table has in numbers. */
    this.columns = { ladder: [], segments: [] };
    for (const name of ["ladder", "segments"]) offerCsv(figure(name), name, () => this.columns[name]);
    /** The data that each chart was drawn from. */
    this.drawn = new Map();
  }

  draw(frame) {
    const { series } = frame;
    setHidden(this.root, !series.verdict);
    if (!series.verdict || (series === this.series && frame.version === this.version)) return;
    const versions = frame.versions.map((version, place) => ({ ...version, place }));
    const version = versions.find(({ name }) => name === frame.version);
    [this.series, this.version] = [series, version.name];
    setData(this.root, "role", version.role);
    setData(this.root, "place", String(version.place));
    const { history, line, distribution, ladder, segments, contrasts } = series.verdict;
    const names = [versions[0].name, version.name];
    const { marks } = series;
    this.ifChanged("narrowing", [version.name, history, line, marks], () =>
      this.narrowing.show({ history, line }, version, marks),
    );
    this.ifChanged("distribution", [names, distribution], () =>
      this.distribution.show(distribution, version, versions),
    );
    this.ifChanged("ladder", [names, ladder], () => {
      const [heads, rows] = [["orders", ...names], ladderRows(ladder)];
      drawDots(this.ladder, heads, rows);
      this.columns.ladder = columnsOf(heads, rows);
    });
    this.ifChanged("segments", [segments, contrasts], () => {
      const [heads, rows] = [["orders", "number"], segmentRows(segments, contrasts)];
      drawDots(this.segments, heads, rows, true);
      this.columns.segments = columnsOf(heads, rows);
    });
  }

  /** Data changes once a block, much less often than frames come. */
  ifChanged(name, made, draw) {
    const text = JSON.stringify(made);
    if (this.drawn.get(name) === text) return;
    this.drawn.set(name, text);
    draw();
  }
}
