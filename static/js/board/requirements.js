// Paints the checklist of requirements as dashboard/board/paint_requirements.py does.

import { clock } from "../times.js";
import { percent, points, seconds, unbroken } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";
import { chooseLens } from "./matrix.js";

const SHARES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const SCALES = {
  speed: [0.05, 0.1, 0.2, 0.5, 1, 1.4],
  failures: SHARES,
  "slow orders": SHARES,
  differences: SHARES,
  completeness: SHARES,
  "keeping up": [10, 20, 30, 60, 120, 300, 600, 1800, 3600],
};
const NAME = /^(failure rate|slow orders|differences beyond noise) /;
const COUNTED = new Set(["completeness", "keeping up"]);
const UNKNOWN = 13.9;
const UNKNOWN_SHARE = 1;
const BEYOND = 2;
/** Where a dot is not seen. */
const OUTSIDE = "-10%";

function atMost(key, line) {
  if (key === "speed") {
    const change = percent(Math.expm1(line));
    return line >= 0 ? `at most ${change} slower` : `at least ${change} faster`;
  }
  if (key === "completeness") return `at most ${percent(line)} missing`;
  if (key === "keeping up") return `at most ${seconds(line)} behind`;
  return `at most ${points(line)}`;
}

function more({ word, needs }) {
  return word === "not comparable" ? "" : needs;
}

/** Whether there is a cause to look at. */
function leadsOn({ standing, word, estimate }) {
  return standing !== "passed" && word !== "not comparable" && estimate !== null;
}

function history({ key, standing, word, since, passed_at: passed, bound, line, was, was_at: then }) {
  if (passed && standing === "passed") {
    const shown = bound !== null && bound < line ? `: ${atMost(key, bound)} (95\u00a0%)` : "";
    return `passed since ${clock(passed, "H:i")}${shown}`;
  }
  if (was) return `since ${clock(then, "H:i")}: ${was} \u2192 ${word}`;
  return since ? `${word} since ${clock(since, "H:i")}` : "";
}

function part(ofOne) {
  return `${(Math.floor(ofOne * 1000 + 0.5) / 10).toFixed(1)}%`;
}

/** The smallest round number that holds all of them, and leaves room beyond the line. */
function endOf({ key, line }, numbers) {
  const furthest = Math.max(BEYOND * line, 0, ...numbers.filter((one) => one !== null).map(Math.abs));
  return SCALES[key].find((scale) => furthest <= scale) ?? SCALES[key].at(-1);
}

function plot(row) {
  const counted = COUNTED.has(row.key);
  const most = row.key === "speed" ? UNKNOWN : UNKNOWN_SHARE;
  // Drawn is an interval up to the bound by which the requirement passed, if it has; nothing where
  // the bound of now is over the limit.
  const bound = row.standing === "passed" ? row.bound : null;
  const [lo, hi] = bound !== null && bound >= row.line ? [null, null] : [row.lo, bound ?? row.hi];
  const known = !counted && lo !== null && hi !== null && lo > -most && hi < most;
  const [low, high] = known ? [lo, hi] : [null, null];
  const end = endOf(row, [row.estimate, low, high]);
  const begin = counted ? 0 : -end;
  const place = (number) => Math.min(Math.max((number - begin) / (end - begin), 0), 1);
  const start = known ? place(low) : 0;
  return {
    zero: part(place(0)),
    line: part(place(row.line)),
    start: part(start),
    width: part(known ? place(high) - start : 0),
    dot: row.estimate === null ? OUTSIDE : part(place(row.estimate)),
  };
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** The rows of the checklist, by requirement. */
export class Requirements {
  constructor(root) {
    this.rows = new Map();
    root.querySelector(".requirements")?.addEventListener("click", chooseLens);
    for (const row of root.querySelectorAll("[data-requirement]")) {
      const parts = [...row.querySelectorAll("[data-part]")].map((one) => [one.dataset.part, one]);
      this.rows.set(row.dataset.requirement, { row, parts: Object.fromEntries(parts) });
    }
  }

  /** ``over``: no more orders come, and none are predicted. */
  paint(requirements, over) {
    for (const one of requirements) {
      const { row, parts } = this.rows.get(one.key);
      setData(row, "standing", one.standing);
      setText(parts.standing, one.standing);
      setText(parts.text, unbroken(one.text.replace(NAME, "")));
      setText(parts.limit, atMost(one.key, one.line));
      setText(parts.more, over ? "" : more(one));
      setText(parts.history, history(one));
      setHidden(parts.cause, !leadsOn(one));
      const drawn = plot(one);
      set(parts.fine, "width", drawn.line);
      set(parts.zero, "x", drawn.zero);
      set(parts.span, "x", drawn.start);
      set(parts.span, "width", drawn.width);
      set(parts.dot, "cx", drawn.dot);
      set(parts.line, "x", drawn.line);
    }
  }
}
