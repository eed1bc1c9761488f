// What is known, what is chosen, and every figure of it; no element of the page is touched here.

const data = JSON.parse(document.getElementById("data").textContent);
const infinite = { inf: Infinity, "-inf": -Infinity };
for (const one of data.classes) {
  one.threshold = one.threshold.map((value) => infinite[value] ?? value);
}

const ratio = (part, whole) => (whole > 0 ? part / whole : NaN);

function countsAt(one, cut) {
  const [tp, fp] = [one.tp[cut], one.fp[cut]];
  return { tp, fp, fn: one.positives - tp, tn: one.negatives - fp, one, cut };
}

// The share of rows behind each figure; F1 is 2 J / (1 + J) of the Jaccard index J.
const FIGURES = {
  recall: { label: "Recall", of: (n) => [n.tp, n.tp + n.fn], whole: "positives" },
  precision: { label: "Precision", of: (n) => [n.tp, n.tp + n.fp], whole: "alarms" },
  specificity: { label: "Specificity", of: (n) => [n.tn, n.tn + n.fp], whole: "negatives" },
  f1: { label: "F1", of: (n) => [n.tp, n.tp + n.fp + n.fn], whole: "positives or alarms" },
  alarms: { label: "Alarms", of: (n) => [n.tp + n.fp, n.tp + n.fp + n.fn + n.tn], whole: "rows" },
};
const RATES = ["recall", "precision", "specificity", "f1"];

function figure(name, counts) {
  if (name === "f1") return ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn);
  return ratio(...FIGURES[name].of(counts));
}

// Of patients with several rows, as many rows count as they are worth; none if one has them all.
function interval(name, { one, cut, ...counts }, together = false) {
  const [part, whole] = FIGURES[name].of(counts);
  const worth = (together ? one.effective_together : one.effective)?.[name][cut] ?? whole;
  const ends =
    worth === 0 && whole > 0
      ? [0, 1]
      : clopperPearson(worth === whole ? part : (part / whole) * worth, worth, together ? EACH : data.confidence);
  return name === "f1" ? ends.map((j) => (2 * j) / (1 + j)) : ends;
}

// The same recall and specificity among patients of whom another share is positive.
function elsewhere(recall, specificity, prevalence) {
  const hits = recall * prevalence;
  const alarms = hits + (1 - specificity) * (1 - prevalence);
  return { precision: ratio(hits, alarms), f1: ratio(2 * hits, prevalence + alarms), alarms };
}

// Recall's and specificity's intervals hold together when each has the root of the confidence.
const EACH = Math.sqrt(data.confidence);

function elsewhereWithIntervals(counts, prevalence) {
  const [recall, specificity] = ["recall", "specificity"].map((name) => interval(name, counts, true));
  const at = elsewhere(figure("recall", counts), figure("specificity", counts), prevalence);
  const [worst, best] = [0, 1].map((i) => elsewhere(recall[i], specificity[i], prevalence));
  const fewest = elsewhere(recall[0], specificity[1], prevalence).alarms;
  const most = elsewhere(recall[1], specificity[0], prevalence).alarms;
  return {
    precision: [at.precision, [worst.precision, best.precision]],
    f1: [at.f1, [worst.f1, best.f1]],
    alarms: [at.alarms, [fewest, most]],
  };
}

// Whether a class keeps the floor on recall: for unseen patients, here only, or not.
function verdict(one, cut, floor) {
  const counts = countsAt(one, cut);
  if (one.positives === 0) return "none";
  if (counts.fn <= one.misses[floor]) return "certified";
  return figure("recall", counts) >= data.floors[floor] ? "observed" : "below";
}

function averages(cuts) {
  const all = data.classes.map((one, c) => countsAt(one, cuts[c]));
  const total = { tp: 0, fp: 0, fn: 0, tn: 0 };
  for (const counts of all) for (const key of Object.keys(total)) total[key] += counts[key];
  const means = { macro: {}, micro: {}, defined: {} };
  for (const name of Object.keys(FIGURES)) {
    const known = all.map((counts) => figure(name, counts)).filter((value) => !Number.isNaN(value));
    means.macro[name] = ratio(known.reduce((sum, value) => sum + value, 0), known.length);
    means.micro[name] = figure(name, total);
    means.defined[name] = known.length;
  }
  return means;
}

function nearestCut(one, threshold) {
  const { length } = one.threshold;
  if (threshold === Infinity) return length - 1;
  const distance = one.threshold.map((value) => Math.abs(value - threshold));
  return distance.indexOf(Math.min(...distance.filter((value) => !Number.isNaN(value))));
}

// The state is never changed in place; `preview` shows one without a step to undo.
const store = {
  state: {
    preset: 0,
    cuts: data.presets[0].cuts,
    prevalence: data.classes.map(() => null),
    floor: data.floor,
  },
  past: [],
  future: [],
  before: null,
  onChange: () => {},
  preview(change) {
    this.before ??= this.state;
    this.state = { ...this.state, ...change };
    this.onChange();
  },
  commit(change) {
    const before = this.before ?? this.state;
    this.before = null;
    this.state = { ...this.state, ...change };
    if (JSON.stringify(before) !== JSON.stringify(this.state)) {
      this.past.push(before);
      this.future = [];
    }
    this.onChange();
  },
  step(from, to) {
    if (!from.length) return null;
    const left = this.state;
    to.push(left);
    this.state = from.pop();
    this.before = null;
    this.onChange();
    const moved = left.cuts.flatMap((cut, c) => (cut === this.state.cuts[c] ? [] : [c]));
    return moved.length === 1 ? moved[0] : null;
  },
  undo() {
    return this.step(this.past, this.future);
  },
  redo() {
    return this.step(this.future, this.past);
  },
};

const withCut = (c, cut) => ({ cuts: store.state.cuts.with(c, cut) });
const byHand = (c) => store.state.cuts[c] !== data.presets[store.state.preset].cuts[c];
