// A table of effects, each with a dot in its interval on one common scale: the ladder, the segments.

import { change } from "./format.js";
import { setHidden } from "./dom.js";

const UNKNOWN = 13.9;
const SVG = "http://www.w3.org/2000/svg";
/** Changes of a time that the scale can end at, to either side; what is beyond is cut off. */
const ENDS = [0.05, 0.1, 0.2, 0.5, 1, 2, 3];
/** The part of the rows' ends that the scale has room for. */
const USUAL = 0.85;

function drawn(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function percentage(ofOne) {
  return `${(100 * Math.min(Math.max(ofOne, 0), 1)).toFixed(2)}%`;
}

/** An end of the scale that holds most of the rows, and the estimate of every one. */
function endOf(rows) {
  const ends = rows
    .flatMap(({ lo, hi }) => [lo, hi])
    .filter((number) => number !== null)
    .map(Math.abs)
    .sort((one, other) => one - other);
  const usual = ends[Math.ceil(ends.length * USUAL) - 1] ?? 0;
  const furthest = Math.max(usual, ...rows.map(({ estimate }) => Math.abs(estimate ?? 0)));
  return ENDS.find((end) => furthest <= end) ?? ENDS.at(-1);
}

function plotOf({ estimate, lo, hi }, end) {
  const place = (number) => (number + end) / (2 * end);
  const plot = drawn("svg", { class: "interval", width: "100%", height: "16", "aria-hidden": "true" });
  plot.append(
    drawn("rect", { class: "axis", x: "0", y: "50%", width: "100%", height: "1" }),
    drawn("rect", { class: "zero", x: "50%", y: "0", width: "1", height: "100%" }),
  );
  if (lo !== null && hi !== null) {
    const [from, to] = [place(lo), place(hi)].map((one) => Math.min(Math.max(one, 0), 1));
    const box = { x: percentage(from), width: percentage(to - from), y: "35%", height: "30%", rx: "2" };
    plot.append(drawn("rect", { class: "span", ...box }));
  }
  if (estimate !== null) {
    plot.append(drawn("circle", { class: "dot", cx: percentage(place(estimate)), cy: "50%", r: "4" }));
  }
  return plot;
}

/** A log ratio as a change of the time; null where an end of an interval says nothing. */
export function ratio(log) {
  return log === null || Math.abs(log) >= UNKNOWN ? null : Math.expm1(log);
}

/** "−31 % (−34 to −28 %)". */
export function effect({ estimate, lo, hi }) {
  if (estimate === null) return "";
  if (lo === null || hi === null) return change(estimate);
  return `${change(estimate)} (${change(lo).slice(0, -2)} to ${change(hi)})`;
}

function cell(kind, content, className) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  element.append(content);
  return element;
}

/**
 * Fill a place with a table. A row has `name`, `cells` (texts), `estimate`, `lo`, `hi` (changes, or
 * null), and where it is to be seen first, `marked`, a text.
 */
export function drawDots(place, heads, rows, group) {
  setHidden(place, !rows.length);
  const end = endOf(rows);
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const text of heads) head.append(cell("th", text, text === heads[0] ? "" : "num"));
  const ends = cell("th", change(-end), "drawn");
  ends.append(cell("i", change(end)));
  head.append(cell("th", "change", "num"), ends);
  const body = table.createTBody();
  let before = null;
  for (const row of rows) {
    const line = body.insertRow();
    if (group && row.group !== before) line.className = "first";
    before = row.group;
    const name = cell("th", row.name);
    name.scope = "row";
    line.append(name);
    for (const text of row.cells) line.append(cell("td", text, "num"));
    line.append(cell("td", effect(row), "num"), cell("td", plotOf(row, end), "drawn"));
    if (!row.marked) continue;
    line.dataset.marked = "";
    name.append(cell("span", row.marked, "marked"));
  }
  place.replaceChildren(table);
}

/** The same in numbers; see numbers.js. */
export function columnsOf([first, ...others], rows) {
  const column = (head, value) => ({ head, values: rows.map(value) });
  return [
    column(first, ({ name }) => name),
    ...others.map((head, place) => column(head, ({ cells }) => cells[place])),
    column("change", ({ estimate }) => estimate),
    column("lower end", ({ lo }) => lo),
    column("upper end", ({ hi }) => hi),
  ];
}
