// Four charts of one class, by uPlot: figures and alarms by threshold, ROC, precision-recall.

const DASHES = { recall: [], precision: [10, 4], specificity: [2, 3], f1: [10, 3, 2, 3] };
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const charts = {
  hidden: new Set(["specificity"]),
  plots: [],
  one: null,
  cut: 0,

  // Everything that depends on the class alone; thresholds ascend, the infinite ones are not drawn.
  build(one, choose) {
    for (const { plot } of this.plots) plot.destroy();
    this.one = one;
    const finite = one.threshold.flatMap((value, cut) => (Number.isFinite(value) ? [cut] : []));
    const counts = finite.map((cut) => countsAt(one, cut));
    const x = finite.map((cut) => one.threshold[cut]);
    const drawn = (values) => values.map((value) => (Number.isNaN(value) ? null : value));
    const of = (name) => drawn(counts.map((n) => figure(name, n)));
    const bounds = (name) => {
      const both = counts.map((n) => interval(name, n));
      return [1, 0].map((end) => drawn(both.map((ends) => ends[end])));
    };

    const rates = RATES.flatMap((name) => [of(name), ...bounds(name)]);
    const alarms = [of("alarms"), ...bounds("alarms")].map((values) =>
      values.map((value) => value === null ? null : 1000 * value),
    );
    const byFalling = (values) => [...values].reverse();
    const fallOut = of("specificity").map((value) => (value === null ? null : 1 - value));
    const unit = { range: [0, 1] };
    const place = (name) => $(`chart-${name}`);
    const byThreshold = (name, values, names, scale) =>
      this.plot(place(name), [x, ...values], {
        x: "Threshold",
        scale,
        series: names.flatMap((rateName) => this.withBand(rateName)),
        bands: names.map((rateName, i) => ({ series: [3 * i + 2, 3 * i + 3], fill: `${color(rateName)}2e` })),
        choose: (at) => choose(nearestCut(one, at)),
        draw: (u) => this.drawThreshold(u, name === "rates"),
      });
    const square = (name, label, xs, ys, line, xName, yName) =>
      this.plot(place(name), [byFalling(xs), byFalling(ys)], {
        x: label[0],
        y: label[1],
        xScale: unit,
        scale: unit,
        series: [{ stroke: color(line), width: 2, paths: name === "pr" ? stepped : undefined, points: { show: false } }],
        choose: (at, up) => choose(this.nearestPoint(finite, xs, ys, at, up)),
        draw: (u) => this.drawPoint(u, xName, yName),
      });
    this.plots = [
      byThreshold("rates", rates, RATES, unit),
      byThreshold("alarms", alarms, ["alarms"], { range: (u, low, high) => [0, (high || 1) * 1.02] }),
      square("roc", ["1 − specificity", "Recall"], fallOut, of("recall"), "recall", "specificity", "recall"),
      square("pr", ["Recall", "Precision"], of("recall"), of("precision"), "precision", "recall", "precision"),
    ];
    this.showSeries();
  },

  withBand(name) {
    const line = { stroke: color(name), width: 2, dash: DASHES[name], paths: stepped, points: { show: false } };
    const edge = { stroke: "transparent", paths: stepped, points: { show: false } };
    return [line, edge, edge];
  },

  plot(place, values, { x, y, xScale, scale, series, bands = [], choose, draw }) {
    const axis = {
      stroke: color("text"),
      grid: { stroke: color("line"), width: 1 },
      ticks: { stroke: color("line"), width: 1 },
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
    };
    const options = {
      width: place.clientWidth,
      height: place.clientHeight,
      legend: { show: false },
      cursor: { points: { show: false }, drag: { x: false, y: false }, y: Boolean(y) },
      scales: { x: { time: false, ...xScale }, y: scale },
      axes: [
        { ...axis, label: x, labelSize: 18, size: 32 },
        { ...axis, size: 52, ...(y && { label: y, labelSize: 18 }) },
      ],
      series: [{}, ...series],
      bands,
      hooks: { draw: [draw] },
    };
    const plot = new uPlot(options, values, place);
    plot.over.addEventListener("click", ({ offsetX, offsetY }) =>
      choose(plot.posToVal(offsetX, "x"), plot.posToVal(offsetY, "y")),
    );
    return { plot, place };
  },

  nearestPoint(finite, xs, ys, x, y) {
    const distance = xs.map((at, i) => (ys[i] === null ? Infinity : (at - x) ** 2 + (ys[i] - y) ** 2));
    return finite[distance.indexOf(Math.min(...distance))];
  },

  // The threshold as a line; where recall is shown, also its floor and how far it is certified.
  drawThreshold(u, withFloor) {
    const { ctx, bbox } = u;
    const at = this.one.threshold[this.cut];
    const edge = (value) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, u.valToPos(value, "x", true)));
    const position = Number.isFinite(at) ? edge(at) : at > 0 ? bbox.left + bbox.width : bbox.left;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    if (withFloor) {
      const floor = u.valToPos(data.floors[store.state.floor], "y", true);
      line(ctx, color("muted"), [6, 4], [bbox.left, floor, bbox.left + bbox.width, floor]);
      const cap = this.highestCertified();
      if (cap !== null) {
        const height = 6 * devicePixelRatio;
        ctx.fillStyle = color("certified");
        ctx.fillRect(bbox.left, bbox.top + bbox.height - height, edge(cap) - bbox.left, height);
      }
    }
    ctx.lineWidth = 2 * devicePixelRatio;
    line(ctx, color("text"), [], [position, bbox.top, position, bbox.top + bbox.height]);
    ctx.restore();
  },

  highestCertified() {
    const certified = this.one.threshold.filter(
      (value, cut) => Number.isFinite(value) && verdict(this.one, cut, store.state.floor) === "certified",
    );
    return certified.length ? Math.max(...certified) : null;
  },

  // The operating point with both intervals as a cross.
  drawPoint(u, xName, yName) {
    const counts = countsAt(this.one, this.cut);
    const flip = xName === "specificity" ? (value) => 1 - value : (value) => value;
    const toX = (value) => u.valToPos(flip(value), "x", true);
    const toY = (value) => u.valToPos(value, "y", true);
    const [x, y] = [toX(figure(xName, counts)), toY(figure(yName, counts))];
    if (Number.isNaN(x) || Number.isNaN(y)) return;
    const { ctx } = u;
    ctx.save();
    ctx.lineWidth = 2 * devicePixelRatio;
    const [left, right] = interval(xName, counts).map(toX);
    const [bottom, top] = interval(yName, counts).map(toY);
    line(ctx, color("muted"), [], [left, y, right, y]);
    line(ctx, color("muted"), [], [x, bottom, x, top]);
    ctx.beginPath();
    ctx.arc(x, y, 5 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fillStyle = color("text");
    ctx.fill();
    ctx.restore();
  },

  move(cut) {
    this.cut = cut;
    for (const { plot } of this.plots) plot.redraw(false);
  },

  showSeries() {
    RATES.forEach((name, i) => {
      for (const k of [1, 2, 3]) this.plots[0].plot.setSeries(3 * i + k, { show: !this.hidden.has(name) });
    });
  },

  resize() {
    for (const { plot, place } of this.plots) {
      plot.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  },
};

// A threshold decides like the score above it: the step lies below each cut.
const stepped = uPlot.paths.stepped({ align: -1 });

function line(ctx, stroke, dash, [x0, y0, x1, y1]) {
  ctx.strokeStyle = stroke;
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}
