// What all plots have in common: a resizable place, axes, labels.

import { setHidden } from "./dom.js";
import { FONT } from "./palette.js";

const LABEL_ROOM = 4.5;

export class Plot {
  constructor(figure, palette) {
    this.plot = figure.querySelector(".plot");
    this.empty = figure.querySelector(".empty");
    this.readout = figure.querySelector(".readout");
    this.palette = palette;
    this.chart = null;
    palette.listeners.push(() => this.rebuild());
    new ResizeObserver(() => this.resize()).observe(this.plot);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (this.chart && width) this.chart.setSize({ width, height });
  }

  rebuild() {
    if (this.chart) this.build();
  }

  draw(data) {
    this.data = data;
    setHidden(this.empty, data !== null);
    if (data === null || !window.uPlot || !this.plot.clientWidth) return;
    if (this.chart && this.key === this.builtFor) this.chart.setData(data);
    else this.build();
    if (this.chart.cursor.idx === null || this.chart.cursor.left < 0) this.read(null);
  }

  build() {
    this.chart?.destroy();
    this.builtFor = this.key;
    this.chart = new window.uPlot(this.options(), this.data, this.plot);
  }

  common() {
    const { palette } = this;
    const axis = { stroke: () => palette.of("ink-2"), font: palette.font(), ticks: { show: false } };
    return {
      axis,
      grid: { stroke: () => palette.of("hairline"), width: 1 },
      options: {
        width: this.plot.clientWidth,
        height: this.plot.clientHeight,
        padding: [10, LABEL_ROOM * palette.rem, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      },
    };
  }

  /** Texts at the right of the plot, on the heights of their numbers. */
  label(chart, labels) {
    const pixels = window.devicePixelRatio || 1;
    const high = 1.2 * FONT * this.palette.rem * pixels;
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.font = this.palette.font(pixels);
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    let lowest = -Infinity;
    const sorted = labels
      .filter(({ at }) => at !== null)
      .map((one) => ({ ...one, y: chart.valToPos(one.at, "y", true) }))
      .sort((one, other) => one.y - other.y);
    for (const { text, colour, y } of sorted) {
      lowest = Math.max(y, lowest + high);
      ctx.fillStyle = colour;
      ctx.fillText(text, bbox.left + bbox.width + 8 * pixels, lowest);
    }
    ctx.restore();
  }
}
