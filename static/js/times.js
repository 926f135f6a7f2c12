// Times on the reader's own clock. The server writes them in UTC; the page names the zone once.

/** What each letter of a format of the server's asks for. */
const PARTS = {
  j: { day: "numeric" },
  M: { month: "short" },
  Y: { year: "numeric" },
  H: { hour: "2-digit", hourCycle: "h23" },
  i: { minute: "2-digit" },
  s: { second: "2-digit" },
};
const formats = new Map();

/** A moment, in seconds since 1970, as in "j M Y, H:i:s". */
export function clock(epochS, form) {
  if (!formats.has(form)) {
    const parts = [...form].map((letter) => PARTS[letter]);
    formats.set(form, new Intl.DateTimeFormat("en-GB", Object.assign({}, ...parts)));
  }
  return formats.get(form).format(epochS * 1000);
}

/** Write the times below an element on this clock; in UTC they stay in their titles. */
export function localize(root) {
  for (const time of root.querySelectorAll("time[data-clock]")) {
    time.title = time.textContent;
    time.textContent = clock(Date.parse(time.dateTime) / 1000, time.dataset.clock);
    delete time.dataset.clock;
  }
}

function zone() {
  const named = new Intl.DateTimeFormat("en-GB", { timeZoneName: "shortOffset" });
  const offset = named.formatToParts().find(({ type }) => type === "timeZoneName").value;
  const name = named.resolvedOptions().timeZone;
  return name === "UTC" ? name : `${name} (${offset.replace("GMT", "UTC")})`;
}

const said = document.querySelector("[data-zone]");
if (said) {
  said.textContent = `Times are in ${zone()}.`;
  said.hidden = false;
}
localize(document);
document.addEventListener("htmx:load", () => localize(document));
