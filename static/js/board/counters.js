// Paints the headline and the counters of every version.

import { count, delta, duration, part, rate, share } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";

const COUNTS = ["orders", "pairs", "handled", "failed", "missing", "waiting", "late", "repeats"];
const TIMES = ["p50", "p95", "p99"];
const ASK_AGAIN_MS = 5000;
const ALARMS = new Set(["failed", "missing", "late", "repeats"]);
// As in dashboard/board/paint.py.
const COMPARABLE = 0.95;
const COMPARABLE_LEAST = 100;

/** How far a version's time is from the control's; nothing while it has other orders. */
function change(fact, version, control) {
  const fair = version.pairs >= Math.max(COMPARABLE_LEAST, COMPARABLE * control.orders);
  return fair ? delta(control[fact], version[fact]) : "";
}

export class Counters {
  constructor(root) {
    this.adopt(root);
  }

  /** Take over what the server rendered: at first, and after the section was replaced. */
  adopt(root) {
    this.root = root;
    this.facts = new Map();
    for (const element of root.querySelectorAll("[data-fact]")) {
      const version = element.closest("[data-version]")?.dataset.version ?? "";
      this.facts.set(`${version}.${element.dataset.fact}`, element);
    }
    this.versions = [...root.querySelectorAll("[data-version]")].map((row) => row.dataset.version);
    this.since = root.querySelector("[data-since]");
    this.askedAt = -Infinity;
  }

  /** Ask for a new section when the launch has other versions than the page. */
  outdated(frame) {
    const names = frame.versions.map((version) => version.name);
    if (names.join() === this.versions.join()) return false;
    if (performance.now() - this.askedAt > ASK_AGAIN_MS) {
      this.askedAt = performance.now();
      window.htmx?.trigger(this.root, "outdated");
    }
    return true;
  }

  paint(frame, dark) {
    if (this.outdated(frame)) return;
    setText(this.facts.get(".rate"), rate(frame.rate));
    const control = frame.versions[0];
    for (const version of frame.versions) this.paintVersion(version, control);
    for (const sample of frame.samples) this.paintSample(sample);
    const chosen = frame.versions.find((version) => version.name === dark);
    if (chosen) this.paintHeadline(chosen, frame);
  }

  paintVersion(version, control) {
    const place = (fact) => this.facts.get(`${version.name}.${fact}`);
    for (const fact of COUNTS) {
      const cell = place(fact);
      if (!cell) continue;
      setText(cell.firstElementChild, count(version[fact]));
      cell.toggleAttribute("data-alarm", ALARMS.has(fact) && version[fact] > 0);
    }
    for (const fact of TIMES) {
      const cell = place(fact);
      if (!cell) continue;
      setText(cell.firstElementChild, duration(version[fact]));
      setText(cell.children[1], change(fact, version, control));
    }
    if (version.percent !== null) setText(place("percent"), share(version.percent));
    setText(place("build"), version.build);
  }

  paintSample({ version, offered, sent, wrong }) {
    const place = this.facts.get(`${version}.sample`);
    setText(place, offered ? `sent ${count(sent)} of ${count(offered)}` : "");
    place?.toggleAttribute("data-alarm", Boolean(wrong));
  }

  paintHeadline(version, frame) {
    const { versions } = frame;
    const say = (fact, text) => setText(this.facts.get(`.headline.${fact}`), text);
    const name = this.facts.get(".headline.name");
    say("name", version.name);
    setData(name, "role", version.role);
    setData(name, "place", String(versions.indexOf(version)));
    say("share", share(version.percent ?? 0));
    say("pairs", count(version.pairs));
    if (frame.version === version.name) {
      say("against", count(frame.against));
      const against = version.pairs ? part(frame.against / version.pairs) : "";
      say("against_share", against);
      setHidden(this.facts.get(".headline.against_share")?.parentElement, !against);
    }
    const median = change("p50", version, versions[0]);
    say("median", median);
    setHidden(this.facts.get(".headline.median")?.parentElement, !median);
    say("failed", count(version.failed));
    say("missing", count(version.missing));
  }
}
