// The verdict's charts: the interval as it narrows, both distributions, the ladder, the segments.

import { count, duration } from "./format.js";
import { setData, setHidden } from "./dom.js";
import { Distribution } from "./distribution.js";
import { paintDots, ratio } from "./dots.js";
import { Narrowing } from "./narrowing.js";
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

/** The two of a kind that differ so much that the one number misleads are marked. */
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
    /** What each chart was drawn of. */
    this.drawn = new Map();
  }

  paint(frame) {
    const { series, verdict } = frame;
    if (!verdict) return setHidden(this.root, true);
    if (!series?.verdict) return undefined;
    setHidden(this.root, false);
    const versions = frame.versions.map((version, place) => ({ ...version, place }));
    const version = versions.find(({ name }) => name === verdict.version);
    if (!version) return undefined;
    setData(this.root, "role", version.role);
    setData(this.root, "place", String(version.place));
    const { history, line, distribution, ladder, segments } = series.verdict;
    const { contrasts } = verdict;
    const names = [versions[0].name, version.name];
    this.ifChanged("narrowing", [version.name, history, line], () =>
      this.narrowing.show({ history, line }, version),
    );
    this.ifChanged("distribution", [names, distribution], () =>
      this.distribution.show(distribution, version, versions),
    );
    this.ifChanged("ladder", [names, ladder], () =>
      paintDots(this.ladder, ["orders", ...names], ladderRows(ladder)),
    );
    this.ifChanged("segments", [segments, contrasts], () =>
      paintDots(this.segments, ["orders", "number"], segmentRows(segments, contrasts), true),
    );
    return undefined;
  }

  /** Most frames change nothing here: a block lasts for many of them. */
  ifChanged(name, made, draw) {
    const text = JSON.stringify(made);
    if (this.drawn.get(name) === text) return;
    this.drawn.set(name, text);
    draw();
  }
}
