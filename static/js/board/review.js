// Decides on discrepancies from the board: by keyboard or by button, never over a newer decision.

import { localize } from "../times.js";
import { logInToDecide } from "../review/log_in.js";
import { setText } from "./dom.js";

const KEYS = { b: "bug", d: "by_design", n: "noise", o: "open" };

/** What the server says is wrong, out of the page that it answers with. */
function reason(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  localize(page);
  const said = page.querySelector("[role=alert]")?.textContent ?? "";
  return said.replace(/\s+/g, " ").trim();
}

export class Review {
  constructor(findings) {
    this.findings = findings;
    this.said = findings.root.querySelector(".said");
    findings.body.addEventListener("submit", (event) => {
      event.preventDefault();
      this.decide(this.viewAt(event.target), event.submitter.value);
    });
  }

  viewAt(element) {
    return this.findings.views.find((view) => view.element.contains(element));
  }

  /** Take a key; true if it meant something here. */
  key(key) {
    if (key === "j" || key === "k") return this.move(key === "j" ? 1 : -1);
    if (!(key in KEYS)) return false;
    const view = this.viewAt(document.activeElement);
    if (logInToDecide(this.findings.root)) return true;
    if (view) this.decide(view, KEYS[key]);
    else setText(this.said, "Move to a discrepancy first, with j and k.");
    return true;
  }

  move(step) {
    const { views } = this.findings;
    if (!views.length) return false;
    const here = views.indexOf(this.viewAt(document.activeElement));
    const next = here < 0 ? (step > 0 ? 0 : views.length - 1) : here + step;
    views[Math.min(Math.max(next, 0), views.length - 1)].link.focus();
    return true;
  }

  async decide(view, decision) {
    if (view.pending || view.element.dataset.state === decision) return;
    const body = new URLSearchParams(new FormData(view.form));
    body.set("decision", decision);
    view.expect(decision);
    setText(this.said, "");
    try {
      this.hear(view, await this.send(view.form, body));
    } catch {
      view.forget();
      setText(this.said, "Not saved: the server cannot be reached.");
    }
  }

  async send(form, body) {
    const answer = await fetch(form.action, {
      method: "POST",
      body,
      headers: { "HX-Request": "true" },
      redirect: "manual",
    });
    return { answer, html: answer.status >= 400 ? await answer.text() : "" };
  }

  hear(view, { answer, html }) {
    const login = answer.headers.get("HX-Redirect");
    if (login) window.location.assign(login);
    if (answer.ok) return;
    view.forget();
    const refused = answer.status === 403 ? "You may not decide on discrepancies." : reason(html);
    setText(this.said, refused || "Not saved: the server refused it.");
  }
}
