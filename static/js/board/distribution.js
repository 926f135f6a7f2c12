// How many orders took how long: a step line a version, on a logarithmic axis.

import { duration, part } from "./format.js";
import { Plot } from "./plot.js";

/** The next lower number with one digit: from any other, uPlot loops forever on marks below 1. */
function firstMark(low) {
  const power = 10 ** Math.floor(Math.log10(low));
  return Math.floor(low / power) * power;
}

export class Distribution extends Plot {
  show({ edges, control, version: dark }, version, versions) {
    this.both = [versions[0], version];
    this.drawnKey = this.both.map(({ name, place }) => `${name} ${place}`).join();
    const any = control.some(Boolean) && dark.some(Boolean);
    const closed = (shares) => [...shares, shares.at(-1) ?? 0];
    this.draw(any ? [edges, closed(control), closed(dark)] : null);
  }

  options() {
    const { axis, below, grid, options } = this.common();
    const step = window.uPlot.paths.stepped({ align: 1 });
    return {
      ...options,
      padding: [14, this.palette.rem, 0, 0],
      scales: {
        x: { time: false, distr: 3, range: (_u, low, high) => [firstMark(low), high] },
        y: { range: (_u, _low, high) => [0, high * 1.08 || 1] },
      },
      axes: [
        { ...below, grid, values: (_u, all) => all.map((ms) => (/^[125]0*$/.test(String(ms)) ? duration(ms).replace(".0", "") : null)) },
        { ...axis, grid, size: 3.5 * this.palette.rem, gap: 8, values: (_u, all) => all.map((one) => part(one)) },
      ],
      series: [
        {},
        ...this.both.map((version) => ({
          stroke: this.palette.ofVersion(version),
          fill: `${this.palette.ofVersion(version)}1f`,
          width: 2,
          paths: step,
          points: { show: false },
        })),
      ],
      hooks: {
        draw: [(chart) => this.drawNames(chart)],
        setCursor: [(chart) => this.read(chart.cursor.idx)],
      },
    };
  }

  /** Each name at the top of its line. */
  drawNames(chart) {
    const { ctx } = chart;
    const pixels = window.devicePixelRatio || 1;
    ctx.save();
    ctx.font = this.palette.font(pixels);
    ctx.textBaseline = "bottom";
    const [edges, ...both] = this.data;
    const tops = both.map((shares) => shares.indexOf(Math.max(...shares)));
    this.both.forEach((version, place) => {
      if (!chart.series[1 + place].show) return;
      const [top, other] = [tops[place], tops[1 - place]];
      const isLeft = top < other || (top === other && place === 0);
      ctx.textAlign = isLeft ? "right" : "left";
      ctx.fillStyle = this.palette.ofVersion(version);
      const x = chart.valToPos(edges[isLeft ? top + 1 : top], "x", true);
      ctx.fillText(version.name, x - (isLeft ? 4 : -4) * pixels, chart.valToPos(both[place][top], "y", true) - 2 * pixels);
    });
    ctx.restore();
  }

  items() {
    return this.both.map((version, place) => ({
      label: version.name,
      version,
      series: [1 + place],
      write: (index) => (index < this.data[0].length - 1 ? part(this.data[1 + place][index]) : ""),
    }));
  }

  say(index) {
    const [edges] = this.data;
    if (index >= edges.length - 1) return "share of orders by handling time";
    return `${duration(edges[index])} to ${duration(edges[index + 1])}`;
  }

  columns() {
    const [edges, ...shares] = this.data;
    const shown = this.both.map(({ name }, place) => ({
      head: `${name} (share of orders)`,
      values: shares[place].slice(0, -1),
      write: part,
      name,
    }));
    return [
      { head: "from (ms)", values: edges.slice(0, -1), write: duration },
      { head: "to (ms)", values: edges.slice(1), write: duration },
      ...shown.filter(({ name }) => !this.off.has(name)),
    ];
  }
}
