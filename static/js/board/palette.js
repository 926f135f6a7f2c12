// The charts' colours and type: those of the page, as it is now.

/** In rem. */
export const FONT = 0.6875;

const COLOURS = [
  ...["control", "candidate", "candidate-2", "candidate-3", "baseline"],
  ...["ink", "ink-2", "hairline", "paper"],
];

/** A token's colour in the scheme of now, as #rrggbb. */
function hex(probe, name) {
  probe.style.color = `var(--${name})`;
  const parts = getComputedStyle(probe).color.match(/\d+/g).slice(0, 3);
  return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}

/** The colours of the page as they are now: light or dark. */
export class Palette {
  constructor() {
    this.read();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    new MutationObserver(() => this.changed()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    this.listeners = [];
  }

  read() {
    const style = getComputedStyle(document.documentElement);
    const probe = document.body.appendChild(document.createElement("i"));
    this.colours = Object.fromEntries(COLOURS.map((name) => [name, hex(probe, name)]));
    probe.remove();
    this.rem = parseFloat(style.fontSize);
    this.family = style.getPropertyValue("--font-sans").trim() || "sans-serif";
  }

  font(ratio = 1) {
    return `${FONT * this.rem * ratio}px ${this.family}`;
  }

  of(name) {
    return this.colours[name] ?? this.colours.ink;
  }

  /** A version's colour; further candidates have shades of their own. */
  ofVersion({ role, place }) {
    return this.of(role === "candidate" && place > 1 ? `candidate-${Math.min(place, 3)}` : role);
  }

  changed() {
    this.read();
    for (const listener of this.listeners) listener();
  }
}
