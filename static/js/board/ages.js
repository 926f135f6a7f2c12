// Ages: the server writes times, the page shows how old they are.

import { age, ago } from "./format.js";
import { clock } from "../times.js";
import { setText } from "./dom.js";

const FORMS = { age, ago, exact: (seconds) => `${age(seconds)} ago` };

/** How far this browser's clock is ahead of the server's. */
let aheadS = 0;

export function setClock(epochS) {
  aheadS = Date.now() / 1000 - epochS;
}

export function wordAges(root) {
  for (const time of root.querySelectorAll("time[data-age]")) {
    const seconds = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000 - aheadS);
    const title = clock(Date.parse(time.dateTime) / 1000, "jMYHis");
    if (time.title !== title) time.title = title;
    setText(time, FORMS[time.dataset.age](seconds));
  }
}
