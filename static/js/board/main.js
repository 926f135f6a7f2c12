// Wires the board: frames come in through the socket and are painted, the newest one, once a frame
// of the screen; filters come in through htmx, and the parts take over what it put into the page.

import { Banner } from "./banner.js";
import { Charts } from "./charts.js";
import { Counters } from "./counters.js";
import { age } from "./format.js";
import { setHidden, setText } from "./dom.js";
import { Findings } from "./findings.js";
import { listenToKeys } from "./keys.js";
import { Lanes } from "./lanes.js";
import { Lights } from "./lights.js";
import { Matrix } from "./matrix.js";
import { Review } from "./review.js";
import { BoardSocket } from "./socket.js";
import { Verdict } from "./verdict.js";
import { VerdictCharts } from "./verdict_charts.js";

const byId = (id) => document.getElementById(id);

const board = byId("board");
const pause = byId("pause");
const badge = byId("badge");
const counters = new Counters(byId("standing"));
const verdict = new Verdict(byId("standing"));
const lights = new Lights(byId("lights"));
const lanes = new Lanes(byId("lanes"), byId("row"));
const charts = new Charts(byId("charts"));
const verdictCharts = new VerdictCharts(byId("verdict-charts"));
const matrix = new Matrix(byId("matrix"));
const findings = new Findings(byId("findings"), byId("finding"));
const review = new Review(findings);

let newest = JSON.parse(byId("frame").textContent);
let scheduled = false;
/** The newest change that was asked for. */
let askedChange = newest.change;

const socket = new BoardSocket({
  path: board.dataset.live,
  query: () => ({
    lens: lanes.lens,
    version: lanes.names.dark,
    ...("pinned" in board.dataset ? { launch: board.dataset.launch } : {}),
  }),
  onFrame: take,
  onState: (state) => {
    board.dataset.socket = state;
    lights.socket(state);
    banner?.paint();
  },
});
const banner = new Banner(byId("banner"), socket);

function take(frame) {
  if (frame.type !== "board" || frame.launch !== board.dataset.launch) {
    socket.ack(frame.n);
    if (frame.type === "board" || frame.type === "none") window.location.reload();
    return;
  }
  newest = { ...frame, series: frame.series ?? pending() };
  if (document.hidden) return socket.ack(frame.n);
  schedule();
}

/** Charts' points that came with a frame which was never painted. */
function pending() {
  return newest.painted ? undefined : newest.series;
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    try {
      paint();
    } finally {
      socket.ack(newest.n);
    }
  });
}

/** Ask for what depends on the launch itself when there is a newer change of it. */
function showChanges({ change }) {
  if (change === askedChange) return;
  askedChange = change;
  for (const id of ["launch-changes", "standing"]) window.htmx?.trigger(byId(id), "outdated");
}

function paint() {
  performance.mark("board-paint");
  const { dark } = lanes.names;
  counters.paint(newest, dark);
  verdict.paint(newest, dark);
  lights.paint(newest);
  lanes.paint(newest);
  matrix.paint(newest, { dark, lens: lanes.lens });
  findings.paint(newest, dark);
  charts.paint(newest, dark);
  verdictCharts.paint(newest);
  showChanges(newest);
  setText(badge, String(newest.open));
  setHidden(badge, !newest.open);
  newest.painted = true;
  performance.measure("board-paint", "board-paint");
}

function togglePause() {
  lanes.paused = !lanes.paused;
  pause.setAttribute("aria-pressed", String(lanes.paused));
  setText(pause, lanes.paused ? "Resume" : "Pause");
  lanes.paint(newest);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && scheduled) socket.ack(newest.n);
  if (!document.hidden && !newest.painted) paint();
});

document.addEventListener("htmx:afterSettle", () => {
  if (counters.root !== byId("standing")) {
    counters.adopt(byId("standing"));
    verdict.adopt(byId("standing"));
    paint();
  }
  if (lanes.root !== byId("lanes")) {
    const { dark } = lanes.names;
    lanes.adopt(byId("lanes"));
    if (lanes.names.dark !== dark) window.htmx.trigger(counters.root, "outdated");
    socket.send({ lens: lanes.lens, version: lanes.names.dark });
    counters.paint(newest, lanes.names.dark);
    matrix.paint(newest, { dark: lanes.names.dark, lens: lanes.lens });
    charts.paint(newest, lanes.names.dark);
  }
});

setInterval(() => {
  banner.paint();
  lights.grow();
  if (counters.since) {
    const since = Date.parse(counters.since.getAttribute("datetime"));
    setText(counters.since, age(Math.max(0, (Date.now() - since) / 1000)));
  }
}, 1000);

pause.hidden = false;
pause.addEventListener("click", togglePause);
listenToKeys({ togglePause, review });
findings.paint(newest, lanes.names.dark);
matrix.paint(newest, { dark: lanes.names.dark, lens: lanes.lens });
charts.paint(newest, lanes.names.dark);
verdictCharts.paint(newest);
newest.painted = true;
