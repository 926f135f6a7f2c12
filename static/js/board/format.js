// Writes measured numbers as dashboard/board/wording.py does.

const NONE = "–";
const SPACE = "\u00a0";
const thousands = new Intl.NumberFormat("en-GB");

function rounded(number, parts = 1) {
  return Math.floor(number * parts + 0.5) / parts;
}

function tenths(number) {
  const whole = rounded(number, 10);
  const text = whole.toFixed(1);
  return whole < 1000 ? text : thousands.format(Math.trunc(whole)) + text.slice(-2);
}

export function count(number) {
  return number === null || number === undefined ? NONE : thousands.format(number);
}

export function duration(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 10) return `${tenths(ms)}${SPACE}ms`;
  if (ms < 10000) return `${thousands.format(rounded(ms))}${SPACE}ms`;
  return `${tenths(ms / 1000)}${SPACE}s`;
}

export function share(percent) {
  return `${percent}${SPACE}%`;
}

export function part(ofOne) {
  if (ofOne === null || ofOne === undefined) return NONE;
  const percent = Math.min(ofOne, 1) * 100;
  if (percent > 0 && percent < 0.1) return `<0.1${SPACE}%`;
  if (percent > 0 && percent < 9.95) return `${tenths(percent)}${SPACE}%`;
  if (percent > 99 && percent < 100) return `>99${SPACE}%`;
  return `${rounded(percent)}${SPACE}%`;
}

function percent(ofOne) {
  const number = Math.abs(ofOne) * 100;
  const whole = rounded(number, number >= 10 ? 1 : number >= 1 ? 10 : 100);
  return `${whole < 1000 ? whole : thousands.format(rounded(whole))}${SPACE}%`;
}

export function change(ofOne) {
  const text = percent(ofOne);
  return text === `0${SPACE}%` ? text : `${ofOne < 0 ? "−" : "+"}${text}`;
}

export function delta(controlMs, versionMs) {
  if (!controlMs || versionMs === null || versionMs === undefined) return "";
  const percent = rounded(((versionMs - controlMs) / controlMs) * 100);
  const sign = percent < 0 ? "−" : percent > 0 ? "+" : "";
  return `${sign}${thousands.format(Math.abs(percent))}${SPACE}%`;
}

export function rate(perSecond) {
  if (perSecond === 0) return "0";
  return perSecond < 100 ? tenths(perSecond) : thousands.format(rounded(perSecond));
}

export function age(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 10) return `${tenths(Math.max(seconds, 0))}${SPACE}s`;
  if (seconds < 60) return `${Math.trunc(seconds)}${SPACE}s`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 60) return `${minutes}${SPACE}min`;
  const hours = Math.trunc(minutes / 60);
  if (hours < 24) return `${hours}${SPACE}h ${minutes % 60}${SPACE}min`;
  return `${Math.trunc(hours / 24)}${SPACE}d ${hours % 24}${SPACE}h`;
}

export function ago(seconds) {
  return seconds < 5 ? "now" : `${age(Math.trunc(seconds)).replace(".0", "")} ago`;
}

/** The smallest round step (1, 2, 3, 4, 5, 6, 8, 10, 20, ... ms) that holds this time. */
export function niceScale(ms) {
  if (ms <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(ms));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((scale) => ms <= scale);
}

/** The part of an address that an order's id is; as in dashboard/urls.py. */
export function inAddress(id) {
  return encodeURIComponent(encodeURIComponent(id));
}
