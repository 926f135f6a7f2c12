// The discrepancies: rows keep their places while the reader is on one; new ones are announced.

import { setData, setHidden, setText } from "./dom.js";

const SHOWN = 8;
const NEWS_MS = 20000;
/** A decision is shown as made until a frame has it, or for this long. */
const PATIENCE_MS = 5000;
const ACCEPTED = new Set(["by_design", "noise", "fixed"]);

const words = (text) => text.replaceAll("_", " ");
const keyOf = (row) => row.dataset.key;

function news(found) {
  if (found.length > 1) {
    return `${found.length} new kinds of difference: ${found.map((one) => one.path).join(", ")}`;
  }
  return `New kind of difference: ${words(found[0].kind)} at ${found[0].path}`;
}

/** Have a row show a decision. */
function mark(row, decision) {
  setData(row, "state", decision);
  if (ACCEPTED.has(decision)) setData(row, "look", "decided");
  setText(row.querySelector(".decision b"), words(decision));
}

export class Discrepancies {
  constructor(root, parts, announce) {
    this.root = root;
    this.parts = parts;
    this.announce = announce;
    this.version = null;
    this.newest = 0;
    /** The text of the news, and the rows that are marked as new. */
    this.news = "";
    this.fresh = new Set();
    this.forgetNews = null;
    /** Decisions being sent, by row. */
    this.pending = new Map();
    this.isBehind = false;
    parts.adapt("discrepancies", (content) => this.adapt(content));
    for (const left of ["pointerout", "focusout"]) {
      root.addEventListener(left, () => setTimeout(() => this.catchUp()));
    }
  }

  get rows() {
    return [...this.root.querySelectorAll("tbody tr")];
  }

  /** Whether the pointer or the focus is on a row. */
  get isHeld() {
    return this.rows.some((row) => row.matches(":hover, :focus-within"));
  }

  catchUp() {
    if (this.isBehind && !this.isHeld) this.parts.putAgain("discrepancies");
  }

  /** Adapt a new version of the part before it is shown. */
  adapt(content) {
    const body = content.querySelector("tbody");
    if (!body) return;
    const rows = new Map([...body.rows].map((row) => [keyOf(row), row]));
    for (const [key, { decision, revision }] of this.pending) {
      const row = rows.get(key);
      if (row && Number(row.dataset.revision) <= revision) mark(row, decision);
      else this.pending.delete(key);
    }
    for (const key of this.fresh) setHidden(rows.get(key)?.querySelector(".new"), false);
    this.isBehind = this.isHeld;
    if (this.isBehind) this.hold(body, rows);
    if (this.news) {
      const text = document.createElement("span");
      text.textContent = this.news;
      content.querySelector(".news").append(text);
    }
  }

  /** Keep the rows in their places, and add new ones while there is room. */
  hold(body, rows) {
    const kept = this.rows.map((row) => rows.get(keyOf(row)) ?? row.cloneNode(true));
    const added = [...rows.values()].filter((row) => !kept.includes(row));
    body.replaceChildren(...kept, ...added.slice(0, Math.max(0, SHOWN - kept.length)));
  }

  /** Announce discrepancies that are new since the last frame. */
  announceNew(frame) {
    const newest = frame.newest[0]?.id ?? 0;
    const found = frame.newest.filter((one) => one.id > this.newest).reverse();
    const isFirst = frame.version !== this.version;
    this.version = frame.version;
    this.newest = isFirst ? newest : Math.max(this.newest, newest);
    if (isFirst || !found.length) return;
    for (const { id } of found) this.fresh.add(String(id));
    this.news = news(found);
    this.announce(this.news);
    this.parts.putAgain("discrepancies");
    clearTimeout(this.forgetNews);
    this.forgetNews = setTimeout(() => {
      this.news = "";
      this.fresh.clear();
      this.parts.putAgain("discrepancies");
    }, NEWS_MS);
  }

  /** Show a decision that is being sent; false if there is one already. */
  expect(row, decision) {
    const key = keyOf(row);
    if (this.pending.has(key) || row.dataset.state === decision) return false;
    const pending = { decision, revision: Number(row.dataset.revision) };
    this.pending.set(key, pending);
    mark(row, decision);
    setTimeout(() => this.pending.get(key) === pending && this.forget(key), PATIENCE_MS);
    return true;
  }

  /** A decision failed: show the row as it was. */
  forget(key) {
    if (this.pending.delete(key)) this.parts.putAgain("discrepancies");
  }
}
