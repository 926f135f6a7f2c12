// Wires the board: draws the newest frame, first the one in the page, then those of the socket, at
// most once per animation frame; sends what the reader chooses.

import { setClock, wordAges } from "./ages.js";
import { Banner } from "./banner.js";
import { Charts } from "./charts.js";
import { Counters } from "./counters.js";
import { Discrepancies } from "./discrepancies.js";
import { setHidden, setText } from "./dom.js";
import { listenToKeys } from "./keys.js";
import { Lanes } from "./lanes.js";
import { Parts } from "./parts.js";
import { Review } from "./review.js";
import { BoardSocket } from "./socket.js";
import { Toolbar } from "./toolbar.js";
import { VerdictCharts } from "./verdict_charts.js";

const byId = (id) => document.getElementById(id);

const board = byId("board");
const pause = byId("pause");
const badge = byId("badge");
const counters = new Counters(byId("counters"));
const lanes = new Lanes(byId("lanes"));
const charts = new Charts(byId("charts"));
const verdictCharts = new VerdictCharts(byId("verdict-charts"));
const parts = new Parts(board);
const discrepancies = new Discrepancies(byId("discrepancies"), parts, announce);
const review = new Review(discrepancies);

let newest = JSON.parse(byId("frame").textContent);
let isDrawn = false;
let scheduled = false;
let saidVerdict = verdictInWords();
let saidStatuses = statuses();
let saidVersion = newest.version;
/** The filter and the version to show. */
let chosen = { filter: newest.filter, version: newest.version };
/** The newest change that was asked for. */
let askedChange = newest.change;

const toolbar = new Toolbar(byId("toolbar"), {
  onChoice: (choice) => {
    chosen = choice;
    socket.send(choice);
  },
  onSearch: search,
});
lanes.search(toolbar.query);

const socket = new BoardSocket({
  path: board.dataset.live,
  query: () => ({
    ...chosen,
    q: toolbar.query,
    ...("pinned" in board.dataset ? { launch: board.dataset.launch } : {}),
  }),
  onFrame: take,
  onFound: (found) => lanes.found(found),
  onState: (state) => {
    board.dataset.socket = state;
    banner?.draw();
  },
});
const banner = new Banner(byId("banner"), socket, byId("indicators"));

/** Announce something to screen readers. */
function announce(text) {
  setText(byId("announcement"), text);
}

/** The verdict's sentence without its numbers. */
function verdictInWords() {
  const sentence = board.querySelector("h1").textContent;
  return sentence.replace(/[\d.,]+/g, "").replace(/\s+/g, " ");
}

/** The status of each requirement of the version that is shown. */
function statuses() {
  const rows = [...board.querySelectorAll("#requirements tr[data-key]")];
  return new Map(rows.map((row) => [row.dataset.key, row.querySelector(".status").textContent]));
}

/** Announce the verdict when its words have changed, not only its numbers, and the requirements that
 *  are met or not met since. */
function sayVerdict({ version }) {
  const words = verdictInWords();
  const sentence = board.querySelector("h1").textContent.replace(/\s+/g, " ").trim();
  const now = statuses();
  const changed = [...now].filter(([key, status]) => saidStatuses.has(key) && saidStatuses.get(key) !== status);
  const said = words === saidVerdict ? [] : [sentence];
  if (version === saidVersion) said.push(...changed.map(([key, status]) => `${key}: ${status}.`));
  if (said.length) announce(said.join(" "));
  [saidVerdict, saidStatuses, saidVersion] = [words, now, version];
}

function take(frame) {
  if (frame.type !== "board" || frame.launch !== board.dataset.launch) {
    socket.ack(frame.n);
    if (frame.type === "board" || frame.type === "none") window.location.reload();
    return;
  }
  // A frame of an earlier choice.
  if (frame.filter !== chosen.filter || frame.version !== chosen.version) return socket.ack(frame.n);
  setClock(frame.at);
  parts.take(frame.parts);
  newest = frame;
  isDrawn = false;
  if (document.hidden) return socket.ack(frame.n);
  schedule();
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    try {
      draw();
    } finally {
      socket.ack(newest.n);
    }
  });
}

/** Reload the launch's changes when there is a new one. */
function showChanges({ change }) {
  if (change === askedChange) return;
  askedChange = change;
  window.htmx?.trigger(byId("launch-changes"), "outdated");
}

function draw() {
  performance.mark("board-draw");
  counters.draw(newest);
  toolbar.draw(newest);
  lanes.draw(newest);
  if (parts.show()) sayVerdict(newest);
  discrepancies.announceNew(newest);
  charts.draw(newest);
  verdictCharts.draw(newest);
  showChanges(newest);
  setText(badge, String(newest.open));
  setHidden(badge, !newest.open);
  isDrawn = true;
  performance.measure("board-draw", "board-draw");
}

function search(query) {
  lanes.search(query);
  if (query) socket.send({ q: query });
  else lanes.draw(newest);
}

function togglePause() {
  lanes.paused = !lanes.paused;
  pause.setAttribute("aria-pressed", String(lanes.paused));
  setText(pause, lanes.paused ? "Resume" : "Pause");
  lanes.draw(newest);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && scheduled) socket.ack(newest.n);
  if (!document.hidden && !isDrawn) draw();
});

setInterval(() => {
  banner.draw();
  wordAges(board);
}, 1000);

pause.hidden = false;
pause.addEventListener("click", togglePause);
setClock(newest.at);
wordAges(board);
listenToKeys({ togglePause, review });
draw();
