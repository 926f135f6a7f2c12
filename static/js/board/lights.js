// Paints the evidence lights, and lets the ages grow between frames.

import { age, count } from "./format.js";
import { setData, setText } from "./dom.js";

const FEED = { fresh: "good", idle: "idle", stale: "bad" };
const FEED_WORDS = { fresh: "live", idle: "idle", stale: "stale" };
const SOCKET = {
  opening: ["idle", "opening"],
  live: ["good", "open"],
  lost: ["doubt", "reconnecting"],
  stale: ["bad", "down"],
  denied: ["bad", "denied"],
};
// As in dashboard/board/lights.py.
const SLACK_S = 2;
const SLACK_LEAST = 20;
const OLD_S = 10;
const COUNTED = 1000;

function upTo(number) {
  return number > COUNTED ? `${count(COUNTED)}+` : count(number);
}

export class Lights {
  constructor(root) {
    this.root = root;
    this.shown = {};
    this.feed = null;
    this.paintedAt = 0;
  }

  light(key, shine, text, label) {
    const light = this.root.querySelector(`[data-light="${key}"]`);
    setData(light, "shine", shine);
    setText(light.querySelector("b"), text);
    if (label) setText(light.querySelector(".label"), label);
  }

  paint(frame) {
    const { feed } = frame;
    const slack = Math.max(SLACK_LEAST, frame.rate * SLACK_S);
    this.feed = feed;
    this.paintedAt = performance.now();
    this.waits(feed, slack);
    this.queue("backlog", feed.backlog, slack);
    this.queue("unsent", feed.unsent, slack);
    this.light("dead", feed.dead_letters ? "doubt" : "good", count(feed.dead_letters));
    this.paintReasons("dead", feed.dead_reasons);
    this.again(feed);
    this.paintReasons("again", feed.again_reasons);
    this.grow();
  }

  /** What was ordered and is not known to have ended, wherever it waits. */
  waits({ behind, oldest_s: oldest }, slack) {
    const old = oldest !== null && oldest >= SLACK_S ? `, oldest ${age(oldest)}` : "";
    const isWell = behind <= slack && !(oldest > OLD_S);
    this.light("behind", isWell ? "good" : "doubt", upTo(behind), `queued orders${old}`);
  }

  /** Orders that the live kitchen was sent again, and queues that are not as they should be. */
  again({ again, problems }) {
    const beside = problems ? `, ${problems} queue${problems > 1 ? "s" : ""} refused` : "";
    const shine = problems ? "bad" : again ? "doubt" : "good";
    this.light("again", shine, upTo(again), `sent again${beside}`);
  }

  queue(key, length, slack) {
    if (length === null) return this.light(key, "idle", count(length));
    const text = key === "unsent" ? upTo(length) : count(length);
    this.light(key, length <= slack ? "good" : "doubt", text);
  }

  /** The age of the newest event, as it is now and not as it was in the frame. */
  grow() {
    if (!this.feed) return;
    const { state, age_s: then } = this.feed;
    const since = (performance.now() - this.paintedAt) / 1000;
    const text = then === null ? "none yet" : `${age(then + since)} ago`;
    this.light("feed", FEED[state], text, `events: ${FEED_WORDS[state]}, last`);
  }

  socket(state) {
    const [shine, text] = SOCKET[state];
    this.light("socket", shine, text);
  }

  paintReasons(key, reasons) {
    const text = reasons.map((dead) => `${dead.queue}\n${dead.reason}`).join("\n");
    if (text === this.shown[key] || (!reasons.length && this.shown[key] === undefined)) return;
    this.shown[key] = text;
    const list = this.root.querySelector(`[data-light="${key}"] .reasons`);
    list.replaceChildren(
      ...reasons.map((dead) => {
        const item = document.createElement("li");
        const queue = document.createElement("code");
        const reason = document.createElement("span");
        queue.textContent = dead.queue;
        reason.textContent = dead.reason;
        item.append(queue, " ", reason);
        return item;
      }),
    );
  }
}
