// The choice of what the lanes show: it goes over the socket, and the address follows.

import { setHidden } from "./dom.js";

const TYPED_MS = 200;

export class Toolbar {
  /** `onChoice({ filter, version })` and `onSearch(text)` are called with what was chosen. */
  constructor(form, { onChoice, onSearch }) {
    this.form = form;
    this.select = form.elements.version;
    this.find = form.elements.q;
    this.onChoice = onChoice;
    this.onSearch = onSearch;
    this.searched = this.query;
    form.addEventListener("change", (event) => {
      if (event.target === this.find) this.search();
      else this.choose();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    this.find.addEventListener("input", () => {
      clearTimeout(this.typed);
      this.typed = setTimeout(() => this.search(), TYPED_MS);
    });
  }

  get choice() {
    return { filter: this.form.elements.filter.value, version: this.select.value };
  }

  get query() {
    return this.find.value.trim();
  }

  choose() {
    this.follow();
    this.onChoice(this.choice);
  }

  search() {
    clearTimeout(this.typed);
    if (this.query === this.searched) return;
    this.searched = this.query;
    this.follow();
    this.onSearch(this.query);
  }

  /** The address names what is shown, so that a reload or a link shows it again. */
  follow() {
    const chosen = [...new FormData(this.form)].filter(([, value]) => value);
    const url = new URL(this.form.action);
    url.search = new URLSearchParams(chosen).toString();
    window.history.replaceState(window.history.state, "", url);
  }

  /** Offer the versions of a frame. */
  draw({ versions, version }) {
    const names = versions.slice(1).map(({ name }) => name);
    const offered = [...this.select.options].map((option) => option.value);
    setHidden(this.select.parentElement, names.length < 2);
    if (names.join() === offered.join()) return;
    const chosen = names.includes(this.select.value) ? this.select.value : version;
    this.select.replaceChildren(...names.map((name) => new Option(name)));
    this.select.value = chosen;
  }
}
