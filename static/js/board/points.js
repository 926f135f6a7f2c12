// What a chart asks of its points: where lines break, what is usual, which is the last.

/** A line goes on over a few seconds without orders, or a point, and breaks off where nothing was
 *  measured. */
const LONGEST_GAP_S = 10;
const longestGap = ([first, second = first]) => Math.max(LONGEST_GAP_S, 2 * (second - first));
/** The part of a line's points that are usual. */
const USUAL = 0.8;

export function longGaps(chart, _series, _from, _to, gaps) {
  const [start] = chart.data[0];
  const position = (second) => chart.valToPos(second, "x", true);
  const longest = position(start + longestGap(chart.data[0])) - position(start);
  return gaps.filter(([from, to]) => to - from > longest);
}

/** The points that no line reaches, since nothing was measured near them; they get a dot. */
export function lonePoints(chart, series) {
  const [seconds] = chart.data;
  const measured = chart.data[series].flatMap((value, index) => (value === null ? [] : [index]));
  const apart = (one, other) =>
    one === undefined || other === undefined || seconds[other] - seconds[one] > longestGap(seconds);
  return measured.filter(
    (index, place) => apart(measured[place - 1], index) && apart(index, measured[place + 1]),
  );
}

/** Drop the stretch before anything happened, but keep at least a minute. */
export function withoutLead(data) {
  const [times, ...lines] = data;
  const first = times.findIndex((_, index) => lines.some((line) => line[index]));
  const minute = times.findIndex((time) => time > times[times.length - 1] - 60);
  const from = Math.max(0, Math.min(first - 2, minute));
  return from > 0 ? data.map((column) => column.slice(from)) : data;
}

/** What most points of a line stay below. */
export function usual(column) {
  const points = column.filter((number) => number !== null).sort((one, other) => one - other);
  return points[Math.ceil(points.length * USUAL) - 1] ?? 0;
}

export function highestOf(column) {
  return column.reduce((highest, number) => Math.max(highest, number ?? 0), 0);
}

export function lastOf(column) {
  for (let index = column.length - 1; index >= 0; index -= 1) {
    if (column[index] !== null && column[index] !== undefined) return column[index];
  }
  return null;
}

export function lastFilled(data) {
  for (let index = data[0].length - 1; index >= 0; index -= 1) {
    if (data.slice(1).some((column) => column[index])) return index;
  }
  return data[0].length ? data[0].length - 1 : null;
}
