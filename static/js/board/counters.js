// Draws the counters: a row for each version, with the columns that the page has.

import { count, delta, duration, share } from "./format.js";
import { element, setData, setHidden, setText } from "./dom.js";

/** Counters that are highlighted unless they are 0. */
const ALARMS = new Set(["failed", "missing", "late", "repeats"]);
/** A version's times are compared with the control's only if both handled nearly the same orders: at
 *  least this share of the control's, and at least so many. */
const COMPARABLE = 0.95;
const COMPARABLE_LEAST = 100;

const HEAD = `<th role="rowheader" scope="row">
  <span class="version"></span>
  <span class="role"><span></span> <span data-fact="percent"></span></span>
  <span class="sample" data-fact="sample" title="of the orders since its percent last changed"></span>
  <span class="build" data-fact="build"></span>
</th>`;
const cell = ({ key, isTime }) =>
  `<td role="cell" class="num" data-column="${key}" data-fact="${key}"><span class="figure"></span>${isTime ? '<span class="change"></span>' : ""}</td>`;

/** How far a version's time is from the control's; empty unless they are comparable. */
function change(key, version, control) {
  const isFair = version.pairs >= Math.max(COMPARABLE_LEAST, COMPARABLE * control.orders);
  return isFair ? delta(control[key], version[key]) : "";
}

class VersionRow {
  constructor({ name, role }, place, columns) {
    this.columns = columns;
    this.element = element(`<tr role="row">${HEAD}${columns.map(cell).join("")}</tr>`);
    this.element.dataset.version = name;
    const version = this.element.querySelector(".version");
    setText(version, name);
    setData(version, "role", role);
    setData(version, "place", String(place));
    setText(this.element.querySelector(".role span"), role);
    const facts = [...this.element.querySelectorAll("[data-fact]")];
    this.facts = Object.fromEntries(facts.map((one) => [one.dataset.fact, one]));
  }

  draw(version, control, sample) {
    for (const { key, isTime } of this.columns) {
      const [figure, distance] = this.facts[key].children;
      setText(figure, (isTime ? duration : count)(version[key]));
      if (isTime) setText(distance, change(key, version, control));
      this.facts[key].toggleAttribute("data-alarm", ALARMS.has(key) && version[key] > 0);
    }
    setText(this.facts.percent, version.percent === null ? "" : share(version.percent));
    setText(this.facts.build, version.build);
    this.facts.build.title = version.build;
    const { offered = 0, sent, wrong } = sample ?? {};
    setText(this.facts.sample, offered ? `sent ${count(sent)} of ${count(offered)}` : "");
    this.facts.sample.toggleAttribute("data-alarm", Boolean(wrong));
  }
}

export class Counters {
  constructor(root) {
    this.root = root;
    this.body = root.querySelector("tbody");
    this.columns = [...root.querySelectorAll("thead [data-column]")].map((head) => ({
      key: head.dataset.column,
      isTime: head.matches(".time"),
    }));
    this.names = "";
  }

  draw({ orders, versions, samples }) {
    setHidden(this.root, !orders);
    const names = versions.map(({ name, role }) => `${name} ${role}`).join();
    if (names !== this.names) {
      this.names = names;
      this.rows = versions.map((version, place) => new VersionRow(version, place, this.columns));
      this.body.replaceChildren(...this.rows.map((row) => row.element));
    }
    const sampled = new Map(samples.map((sample) => [sample.version, sample]));
    versions.forEach((version, place) => {
      this.rows[place].draw(version, versions[0], sampled.get(version.name));
    });
  }
}
