// Decisions on discrepancies from the board, by key or button, never over a newer decision.

import { logInToDecide } from "../review/log_in.js";
import { reason } from "../trouble.js";
import { setText } from "./dom.js";

const KEYS = { b: "bug", d: "by_design", n: "noise", o: "open" };

export class Review {
  constructor(discrepancies) {
    this.discrepancies = discrepancies;
    this.message = discrepancies.root.querySelector(".said");
    discrepancies.root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.decide(event.submitter);
    });
  }

  /** The row with the focus. */
  get row() {
    return this.discrepancies.rows.find((row) => row.contains(document.activeElement));
  }

  /** Handle a key; true if it is one of these. */
  key(key) {
    if (key === "j" || key === "k") return this.move(key === "j" ? 1 : -1);
    if (!(key in KEYS)) return false;
    const { row } = this;
    if (logInToDecide(this.discrepancies.root)) return true;
    if (row) this.decide(row.querySelector(`button[value=${KEYS[key]}]`));
    else setText(this.message, "Move to a discrepancy first, with j and k.");
    return true;
  }

  move(step) {
    const { rows } = this.discrepancies;
    if (!rows.length) return false;
    const here = rows.indexOf(this.row);
    const next = here < 0 ? (step > 0 ? 0 : rows.length - 1) : here + step;
    rows[Math.min(Math.max(next, 0), rows.length - 1)].querySelector("a").focus();
    return true;
  }

  /** Decide by a row's button. */
  async decide(button) {
    const row = button.closest("tr");
    const { key } = row.dataset;
    const { form, formAction, value } = button;
    if (!this.discrepancies.expect(row, value)) return;
    const body = new URLSearchParams(new FormData(form));
    body.set("decision", value);
    setText(this.message, "");
    try {
      this.handle(key, await this.send(formAction, body));
    } catch {
      this.discrepancies.forget(key);
      setText(this.message, "Not saved: the server can't be reached.");
    }
  }

  async send(address, body) {
    const answer = await fetch(address, {
      method: "POST",
      body,
      headers: { "HX-Request": "true" },
      redirect: "manual",
    });
    return { answer, html: answer.status >= 400 ? await answer.text() : "" };
  }

  handle(key, { answer, html }) {
    const login = answer.headers.get("HX-Redirect");
    if (login) window.location.assign(login);
    if (answer.ok) return;
    this.discrepancies.forget(key);
    const unsaid = answer.status === 403
      ? "You don't have permission to decide on discrepancies."
      : "Not saved: the server refused it.";
    setText(this.message, reason(html) || unsaid);
  }
}
