// One discrepancy on the board; the same places that templates/dashboard/_finding.html prints.

import { ago, count, part } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";

const ACCEPTED = new Set(["by_design", "noise", "fixed"]);
const NEW_MS = 20000;
/** A decision is shown as made until a frame has it, or for so long. */
const PATIENCE_MS = 5000;

const words = (text) => text.replaceAll("_", " ");

function look(row) {
  if (ACCEPTED.has(row.state)) return "decided";
  return row.count || row.carried ? "counting" : "ignored";
}

function value(row, of) {
  if (row[of]) return row[of];
  if (row.kind === "failed" || row.kind === "control_failed") return "handled";
  return row.kind === "many" || row.kind === "other" ? "" : "nothing";
}

function width(part, scale) {
  return `${(Math.floor(Math.min((part ?? 0) / scale, 1) * 1000 + 0.5) / 10).toFixed(1)}%`;
}

function setTitled(element, text) {
  setText(element, text);
  if (element.title !== text) element.title = text;
}

export class FindingView {
  constructor(element) {
    const find = (selector) => element.querySelector(selector);
    this.element = element;
    this.id = Number(element.dataset.finding);
    this.link = find(".where a");
    this.path = find(".where code");
    this.kind = find(".kind span");
    this.fresh = find(".new");
    this.example = find(".values a");
    this.one = find(".one");
    this.other = find(".other");
    this.pairs = find(".pairs b");
    this.ignored = find(".ignored");
    this.bars = [...element.querySelectorAll("rect")];
    this.rate = find(".rate b");
    this.noise = find(".noise .num");
    this.seen = [...find(".seen").children];
    this.decision = find(".decision b");
    this.form = find("form");
    this.pending = null;
  }

  /** Give an element from the template to a discrepancy: its page and its examples' pages. */
  take(row) {
    this.link.href = this.link.getAttribute("href").replace("/0/", `/${row.id}/`);
    this.id = row.id;
    this.element.dataset.finding = row.id;
  }

  paint(row, { scale, at, orderUrl }) {
    setTitled(this.path, row.path);
    setText(this.kind, words(row.kind));
    setHidden(this.example, !row.example);
    if (row.example) this.example.setAttribute("href", orderUrl(row.example));
    setTitled(this.one, value(row, "control_value"));
    setTitled(this.other, value(row, "version_value"));
    setText(this.pairs, count(row.count));
    setText(this.ignored, row.ignored ? `+${count(row.ignored)} ignored` : "");
    setText(this.rate, part(row.rate));
    setText(this.noise, part(row.noise_rate));
    this.bars[0].setAttribute("width", width(row.rate, scale));
    this.bars[1].setAttribute("width", width(row.noise_rate, scale));
    const [first, last] = this.seen;
    setText(first, row.carried ? "in an earlier launch" : `first ${ago(at - row.first)}`);
    setText(last, row.carried ? "not seen in this one" : `last ${ago(at - row.last)}`);
    this.paintDecision(row);
  }

  paintDecision(row) {
    if (this.pending && row.revision <= this.pending.revision) {
      if (performance.now() < this.pending.until) return;
    }
    this.pending = null;
    const seen = `${row.id}:${row.revision}`;
    setData(this.element, "seen", seen);
    if (this.form) this.form.elements.seen.value = seen;
    setData(this.element, "state", row.state);
    setData(this.element, "look", look(row));
    setText(this.decision, words(row.state));
  }

  /** Show a decision that is on its way. */
  expect(decision) {
    const [, revision] = this.element.dataset.seen.split(":");
    this.pending = { revision: Number(revision), until: performance.now() + PATIENCE_MS };
    setData(this.element, "state", decision);
    if (ACCEPTED.has(decision)) setData(this.element, "look", "decided");
    setText(this.decision, words(decision));
  }

  /** The decision did not come about: the next frame says how things stand. */
  forget() {
    this.pending = null;
  }

  announce() {
    setHidden(this.fresh, false);
    setTimeout(() => setHidden(this.fresh, true), NEW_MS);
  }
}
