// The connection to the board: applies frames, which carry changes, acknowledges them at the pace
// that the board asks for, and reconnects.

const SILENCE_MS = 5000;
const SHORTEST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10000;
// Why the board closes a connection: as in dashboard/board/consumers.py.
const DENIED = 4403;
const REASONS = {
  4400: "This page is out of date; reload it",
  4408: "This page was too slow to keep up",
  4429: "Too many boards are open",
};

/**
 * States: "opening", "live", "lost" (waiting to try again), "stale" (open but silent, or lost for
 * longer than a moment), "denied".
 */
export class BoardSocket {
  constructor({ path, query, onFrame, onFound, onState }) {
    this.path = path;
    this.query = query;
    this.onFrame = onFrame;
    this.onFound = onFound;
    this.onState = onState;
    this.failures = 0;
    this.heardAt = performance.now();
    this.state = "opening";
    this.reason = "";
    this.socket = null;
    this.retryAt = null;
    this.retry = null;
    this.open();
    setInterval(() => this.watch(), 500);
    window.addEventListener("online", () => this.tryNow());
  }

  open() {
    clearTimeout(this.retry);
    this.retryAt = null;
    const url = new URL(this.path, window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = new URLSearchParams(this.query()).toString();
    const socket = new WebSocket(url);
    this.socket = socket;
    this.every = 1;
    this.unacknowledged = 0;
    this.drawn = null;
    /** The rows of the newest frame by their ids, and the charts' points. */
    this.rows = new Map();
    this.series = undefined;
    this.openedAt = performance.now();
    socket.addEventListener("message", (event) => {
      if (socket === this.socket) this.receive(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.socket) this.lose(event.code);
    });
  }

  receive(frame) {
    this.heardAt = performance.now();
    if (frame.type === "pace") return this.pace(frame.every);
    if (frame.type === "found") return this.onFound(frame);
    this.unacknowledged += 1;
    if (frame.type === "denied") return this.say("denied");
    this.failures = 0;
    this.say("live");
    const state = frame.type === "board" ? this.apply(frame) : frame;
    if (state) this.onFrame(state);
    else this.leave();
  }

  /** The whole state after a frame; null if a row is missing. */
  apply({ rows, ids, series, ...rest }) {
    const known = rest.since ? this.rows : new Map();
    for (const row of rows) known.set(row.id, row);
    this.rows = new Map(ids.map((id) => [id, known.get(id)]));
    this.series = series ?? (rest.since ? this.series : undefined);
    const shown = [...this.rows.values()];
    return shown.includes(undefined) ? null : { ...rest, rows: shown, series: this.series };
  }

  lose(code) {
    this.socket = null;
    this.reason = REASONS[code] ?? "The socket is down";
    if (code === DENIED || this.state === "denied") return this.say("denied");
    const wait = Math.min(LONGEST_WAIT_MS, SHORTEST_WAIT_MS * 2 ** this.failures);
    const jittered = wait * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.retryAt = performance.now() + jittered;
    this.retry = setTimeout(() => this.open(), jittered);
    if (this.state !== "stale") this.say("lost");
  }

  /** Treat silence as a broken connection. */
  watch() {
    if (this.state === "denied") return;
    const now = performance.now();
    if (now - this.heardAt > SILENCE_MS) this.say("stale");
    if (this.socket && now - Math.max(this.heardAt, this.openedAt) > SILENCE_MS) this.leave();
  }

  /** Close the connection; the next one starts with a whole frame. */
  leave() {
    const left = this.socket;
    this.socket = null;
    left.close();
    this.lose();
  }

  tryNow() {
    if (this.state === "denied" || this.state === "live") return;
    this.failures = 0;
    if (!this.socket) this.open();
  }

  send(wish) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(wish));
  }

  /** A frame was drawn, and all before it: acknowledge if it is time. */
  ack(number) {
    this.drawn = number;
    if (this.unacknowledged >= this.every) this.flush();
  }

  /** Acknowledge only every so many frames from now on. */
  pace(every) {
    this.every = every;
    if (every === 1 && this.drawn !== null) this.flush();
  }

  flush() {
    this.send({ ack: this.drawn });
    this.unacknowledged = 0;
    this.drawn = null;
  }

  silentSeconds() {
    return (performance.now() - this.heardAt) / 1000;
  }

  secondsToRetry() {
    return this.retryAt === null ? null : Math.max(0, (this.retryAt - performance.now()) / 1000);
  }

  say(state) {
    this.state = state;
    this.onState(state);
  }
}
