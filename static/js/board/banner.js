// Says over the numbers that they are old, and what is being done about it.

import { age } from "./format.js";
import { setHidden, setText } from "./dom.js";

export class Banner {
  constructor(root, socket) {
    this.root = root;
    this.socket = socket;
    this.title = root.querySelector("strong");
    this.text = root.querySelector("span");
    this.again = root.querySelector("button");
    this.login = root.querySelector("a");
    this.again.addEventListener("click", () => socket.tryNow());
  }

  paint() {
    const { state } = this.socket;
    const silent = this.socket.silentSeconds();
    const retry = this.socket.secondsToRetry();
    setHidden(this.root, state === "live" || state === "opening" || (state === "lost" && silent < 2));
    setHidden(this.login, state !== "denied");
    setHidden(this.again, state === "denied");
    if (state === "denied") {
      setText(this.title, "You may not watch this board any more.");
      setText(this.text, "You were logged out, or lost the permission. The numbers below are old.");
      return;
    }
    setText(this.title, `No data for ${age(Math.floor(silent)).replace(".0", "")}.`);
    const doing = retry === null ? "Connecting" : `Retrying in ${Math.ceil(retry)} s`;
    setText(this.text, `${this.socket.reason}; the numbers below are stale. ${doing}.`);
  }
}
