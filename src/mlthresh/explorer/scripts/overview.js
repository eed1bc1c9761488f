// The table of all classes: built once, then its cells are kept up to date, sorted and filtered.

const $ = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const VERDICTS = {
  certified: "certified",
  observed: "observed",
  below: "below",
  none: "no positives",
};
const SIGNS = { certified: "✓", observed: "○", below: "✗", none: "–" };
const FEW = 10;

const share = (value) => (Number.isNaN(value) ? "–" : value.toFixed(3));
const whole = (count) => count.toLocaleString("en-US");
const perThousand = (value) => (Number.isNaN(value) ? "–" : (1000 * value).toFixed(1));
const shown = (name, value) => (name === "alarms" ? perThousand(value) : share(value));

// The ends are rounded outwards, so that what is read covers what was computed.
function ends([lower, upper], name = "") {
  if (Number.isNaN(lower)) return "";
  const [scale, digits] = name === "alarms" ? [10000, 1] : [1000, 3];
  const down = Math.floor(lower * scale + 1e-9) / 10 ** digits;
  const up = Math.ceil(upper * scale - 1e-9) / 10 ** digits;
  return `${down.toFixed(digits)}–${up.toFixed(digits)}`;
}

function thresholdText(value) {
  if (value === Infinity) return "never";
  return value === -Infinity ? "always" : `${Number(value.toPrecision(5))}`;
}

const overview = {
  rows: [],
  sortedBy: "positives",
  descending: true,
  select: () => {},

  build(select) {
    this.select = select;
    for (const button of document.querySelectorAll("#overview th button")) {
      button.addEventListener("click", () => this.sortBy(button.dataset.key));
    }
    $("filter").addEventListener("input", () => this.filter());
    $("verdict-filter").addEventListener("change", () => this.filter());
    this.rows = data.classes.map((one, c) => this.row(one, c));
    $("classes").append(...this.rows.map((row) => row.tr));
  },

  row(one, c) {
    const button = element("button", { type: "button", className: "link", textContent: one.name });
    button.addEventListener("click", () => this.select(c));
    const tr = element("tr", {}, element("th", { scope: "row" }, button));
    tr.addEventListener("click", (event) => {
      if (event.target !== button) this.select(c);
      // Where the class is shown below the table, bring it into view.
      if ($("detail").getBoundingClientRect().top > innerHeight * 0.8) $("detail").scrollIntoView();
    });
    const cells = {};
    for (const key of ["positives", "threshold", ...Object.keys(FIGURES), "verdict"]) {
      cells[key] = tr.appendChild(element("td"));
    }
    cells.positives.textContent = `${whole(one.positives)}${one.positives < FEW ? "*" : ""}`;
    return { c, tr, cells, button, values: { name: one.name, positives: one.positives }, key: "" };
  },

  update() {
    const { cuts, floor } = store.state;
    for (const row of this.rows) {
      const key = `${cuts[row.c]} ${floor} ${byHand(row.c)}`;
      if (row.key !== key) this.fill(row, cuts[row.c], floor);
      row.key = key;
    }
    const means = averages(cuts);
    for (const kind of ["macro", "micro"]) {
      for (const name of Object.keys(FIGURES)) {
        const value = means[kind][name];
        document.querySelector(`#${kind} [data-key=${name}]`).textContent = shown(name, value);
      }
    }
    const least = Math.min(...RATES.map((name) => means.defined[name]));
    $("averaged").textContent =
      least === data.classes.length
        ? "Averages are over all classes."
        : `Macro averages leave out classes where a figure is undefined: recall counts ${means.defined.recall}, ` +
          `precision ${means.defined.precision}, F1 ${means.defined.f1} of ${data.classes.length} classes.`;
    if (store.before === null) this.sort(); // rows stay in place under a moving slider
    this.filter();
  },

  fill({ c, cells, values }, cut, floor) {
    const one = data.classes[c];
    const counts = countsAt(one, cut);
    values.threshold = one.threshold[cut];
    cells.threshold.replaceChildren(thresholdText(values.threshold));
    if (byHand(c)) cells.threshold.append(element("small", { textContent: "by hand" }));
    for (const name of Object.keys(FIGURES)) {
      values[name] = figure(name, counts);
      const range = element("small", { textContent: ends(interval(name, counts), name) });
      cells[name].replaceChildren(shown(name, values[name]), range);
    }
    values.verdict = verdict(one, cut, floor);
    const sign = element("span", { textContent: SIGNS[values.verdict] });
    sign.setAttribute("aria-hidden", "true");
    cells.verdict.replaceChildren(sign, ` ${VERDICTS[values.verdict]}`);
    cells.verdict.className = values.verdict;
  },

  mark(selected) {
    for (const { c, tr, button } of this.rows) {
      tr.classList.toggle("selected", c === selected);
      if (c === selected) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  },

  sortBy(key) {
    this.descending = key === this.sortedBy ? !this.descending : key !== "name";
    this.sortedBy = key;
    this.sort();
  },

  // Undefined figures stay at the end, and equal ones in the order of the file.
  sort() {
    const { sortedBy: key, descending } = this;
    const sign = descending ? -1 : 1;
    const compare = ({ values: { [key]: a } }, { values: { [key]: b } }) => {
      if (typeof a === "string") return sign * a.localeCompare(b, undefined, { numeric: true });
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return a === b ? 0 : sign * (a < b ? -1 : 1);
    };
    const order = [...this.rows].sort((a, b) => compare(a, b) || a.c - b.c).map((row) => row.tr);
    if (order.some((tr, i) => $("classes").children[i] !== tr)) {
      const focused = document.activeElement;
      $("classes").append(...order);
      focused?.focus({ preventScroll: true });
    }
    for (const button of document.querySelectorAll("#overview th button[data-key]")) {
      const direction = button.dataset.key === key ? (descending ? "descending" : "ascending") : "none";
      button.closest("th").setAttribute("aria-sort", direction);
    }
  },

  filter() {
    const text = $("filter").value.trim().toLowerCase();
    const wanted = $("verdict-filter").value;
    let count = 0;
    for (const { c, tr, values } of this.rows) {
      const suits = wanted === "all" || wanted === values.verdict || (wanted === "hand" && byHand(c));
      tr.hidden = !(suits && values.name.toLowerCase().includes(text));
      count += !tr.hidden;
    }
    const found = `${count} of ${data.classes.length} classes`;
    if ($("count").textContent !== found) $("count").textContent = found;
  },
};
