// The banner over stale numbers, and the indicator of the socket.

import { age } from "./format.js";
import { setData, setHidden, setText } from "./dom.js";

const SOCKET = {
  opening: ["idle", "opening"],
  live: ["good", "open"],
  lost: ["doubt", "reconnecting"],
  stale: ["bad", "down"],
  denied: ["bad", "denied"],
};

export class Banner {
  constructor(root, socket, indicators) {
    this.indicator = indicators.querySelector("[data-indicator=socket]");
    this.root = root;
    this.socket = socket;
    this.title = root.querySelector("strong");
    this.text = root.querySelector("span");
    this.again = root.querySelector("button");
    this.login = root.querySelector("a");
    this.again.addEventListener("click", () => socket.tryNow());
  }

  draw() {
    const { state } = this.socket;
    const [status, word] = SOCKET[state];
    setData(this.indicator, "status", status);
    this.indicator.querySelector(".lamp").ariaLabel = status;
    setText(this.indicator.querySelector("b"), word);
    const silent = this.socket.silentSeconds();
    const retry = this.socket.secondsToRetry();
    setHidden(this.root, state === "live" || state === "opening" || (state === "lost" && silent < 2));
    setHidden(this.login, state !== "denied");
    setHidden(this.again, state === "denied");
    if (state === "denied") {
      setText(this.title, "You don't have access to this board anymore.");
      setText(this.text, "You were logged out, or lost the permission. The numbers below are stale.");
      return;
    }
    setText(this.title, `No data for ${age(Math.floor(silent)).replace(".0", "")}.`);
    const doing = retry === null ? "Connecting" : `Retrying in ${Math.ceil(retry)} s`;
    setText(this.text, `${this.socket.reason}; the numbers below are stale. ${doing}.`);
  }
}
