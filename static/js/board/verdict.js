// Paints the verdict line as dashboard/board/paint_verdict.py does, and the checklist below it.

import { clock } from "../times.js";
import { change, count, counted, seconds, share, span, unbroken } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";
import { Requirements } from "./requirements.js";

const UNKNOWN = 13.9;
const ORDERS = {
  size: [(name) => `on ${name} orders`, (name) => `on ${name} ones`],
  item: [(name) => `on orders with ${name}`, (name) => `on those with ${name}`],
  hour: [(name) => `on orders at ${name}:00 UTC`, (name) => `on those at ${name}:00 UTC`],
};

function soFar({ word, requirements }) {
  const speed = requirements.find(({ key }) => key === "speed");
  return word === "not yet" && speed.standing === "passed" ? unbroken(`So far ${speed.text}.`) : "";
}

function contrast([gravest]) {
  if (!gravest) return "";
  const { kind, faster, slower, opposite } = gravest;
  const [first, other] = ORDERS[kind];
  const [well, badly] = opposite ? ["Faster", "slower"] : ["Best", "worst"];
  return `${well} ${first(faster)}, ${badly} ${other(slower)}.`;
}

/** Why there is no verdict. */
function why({ version, versions }) {
  const isBaseline = versions.some(({ name, role }) => name === version && role === "baseline");
  return isBaseline
    ? "a second copy of the control: it measures noise and gets no verdict"
    : "no verdict yet: waiting for the first completed block";
}

/** Why no more orders come, and what the word rests on. */
function state({ state: is, at, final_at: finalAt }, orders) {
  if (is === "running" || at === null) return "";
  const of = `, on ${counted(orders)} after the warm-up`;
  const day = clock(at, "j M, H:i");
  if (is === "stopped") return unbroken(`Stopped (0 % of orders) since ${day}${of}.`);
  if (finalAt === null) return `Ended ${day}; the last orders are still being counted.`;
  return `Final: the launch ended ${day}${of}.`;
}

function totalTime(interval) {
  if (!interval || interval[0] <= -UNKNOWN || interval[1] >= UNKNOWN) return "";
  const [low, high] = interval.map((ratio) => ratio - 1);
  if (low < 0 && high > 0) return `total time ${change(low)} to ${change(high)}`;
  return `total time ${span(low, high)} ${high <= 0 ? "less" : "more"}`;
}

function trouble({ late, lost, bad }) {
  const said = [
    [late, "counted late"],
    [lost, "too late to count"],
    [bad, "not usable"],
  ];
  return said
    .filter(([number]) => number)
    .map(([number, text]) => `${count(number)} ${text}`)
    .join(", ");
}

export class Verdict {
  constructor(root) {
    this.adopt(root);
  }

  /** Take over what the server rendered: at first, and after the section was replaced. */
  adopt(root) {
    this.root = root;
    const facts = [...root.querySelectorAll("[data-fact]")].map((one) => [one.dataset.fact, one]);
    this.facts = Object.fromEntries(facts);
    this.requirements = new Requirements(root);
  }

  paint(frame, dark) {
    // The section is of the version that was chosen: a frame of another one is on its way out.
    if (!this.facts.verdict || (dark && frame.version !== dark)) return;
    const { verdict } = frame;
    const shown = Boolean(verdict);
    for (const fact of ["verdict", "verdict.share", "requirements"]) setHidden(this.facts[fact], !shown);
    for (const fact of ["no-verdict", "no-verdict.why", "no-verdict.differ"]) {
      setHidden(this.facts[fact], shown);
    }
    const over = frame.run.state !== "running";
    setHidden(this.facts.stop, verdict?.word !== "worse" || over);
    if (!shown) return setText(this.facts["no-verdict.why"], why(frame));
    this.paintLine(verdict, frame.run, over);
    this.paintVersion(frame);
    this.requirements.paint(verdict.requirements, over);
    return undefined;
  }

  paintLine(verdict, run, over) {
    const say = (fact, text) => setText(this.facts[`verdict.${fact}`], text);
    const before = verdict.word === "ready" ? `${verdict.version} is ` : "";
    const word = verdict.word.toUpperCase();
    setData(this.facts.verdict, "word", verdict.word.replace(" ", "-"));
    say("before", before);
    say("word", word);
    const after = verdict.sentence.slice(before.length + word.length);
    say("after", unbroken(after.replace(/^:/, "").trim()));
    say("so_far", over ? "" : soFar(verdict));
    say("state", state(run, verdict.orders));
    say("contrast", contrast(verdict.contrasts));
    this.paintWarnings(verdict.warnings.map(unbroken));
    const [pairs, blocks] = [counted(verdict.pairs, "pair"), counted(verdict.blocks, "block")];
    const build = verdict.build ? ` (build ${verdict.build})` : "";
    const each = seconds(verdict.block_s);
    const why = verdict.block_why ? ` (${verdict.block_why})` : "";
    say("tested", `${pairs} measured${build}, ${blocks} of ${each}${why}`);
    say("lag", `verdict delay ${seconds(verdict.lag_s)}`);
    const { faster_share: faster } = verdict;
    this.sayOrHide("faster_share", faster ? `faster on ${span(...faster)} of orders` : "");
    this.sayOrHide("total_time", totalTime(verdict.total_time));
    this.sayOrHide("trouble", trouble(verdict));
  }

  sayOrHide(fact, text) {
    setText(this.facts[`verdict.${fact}`], text);
    setHidden(this.facts[`verdict.${fact}`], !text);
  }

  paintWarnings(warnings) {
    const list = this.facts["verdict.warnings"];
    const there = [...list.children].map((item) => item.textContent);
    if (there.join("\n") === warnings.join("\n")) return;
    list.replaceChildren(
      ...warnings.map((warning) => {
        const item = document.createElement("li");
        item.textContent = warning;
        return item;
      }),
    );
  }

  /** Whose verdict it is, and of how many orders. */
  paintVersion({ versions, verdict }) {
    const place = versions.findIndex(({ name }) => name === verdict.version);
    setText(this.facts["stop.name"], verdict.version);
    const name = this.facts["verdict.name"];
    setText(name, verdict.version);
    setData(name, "role", versions[place].role);
    setData(name, "place", String(place));
    setText(this.facts["verdict.percent"], share(versions[place].percent ?? 0));
    const { coverage } = this.facts;
    const page = new URL(coverage.href);
    if (page.searchParams.get("version") === verdict.version) return;
    page.searchParams.set("version", verdict.version);
    coverage.href = page.href;
  }
}
