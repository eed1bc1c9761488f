// One class: its slider, figures, verdict and charts.

const percent = (value) => `${Number((100 * value).toPrecision(6))}`;

const detail = {
  c: 0,

  build() {
    const slider = $("slider");
    slider.addEventListener("input", () => store.preview(withCut(this.c, Number(slider.value))));
    slider.addEventListener("change", () => this.choose(Number(slider.value)));
    const field = $("threshold");
    field.addEventListener("change", () => this.type(field.value));
    field.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const last = data.classes[this.c].threshold.length - 1;
      this.choose(Math.max(0, Math.min(last, store.state.cuts[this.c] + step)));
    });
    $("prevalence").addEventListener("change", () => this.setPrevalence($("prevalence").value));
    $("observed").addEventListener("click", () => this.setPrevalence(""));
    for (const [name, { label }] of Object.entries(FIGURES)) {
      const title = name === "alarms" ? "Alarms per 1,000 patients" : label;
      const row = element("tr", { id: `figure-${name}` }, element("th", { scope: "row", textContent: title }));
      for (const key of ["value", "interval", "share", "elsewhere"]) {
        row.append(element("td", { className: key }));
      }
      $("figures").append(row);
    }
    for (const name of RATES) {
      const box = element("input", { type: "checkbox", checked: !charts.hidden.has(name) });
      box.addEventListener("change", () => {
        charts.hidden[box.checked ? "delete" : "add"](name);
        charts.showSeries();
      });
      const swatch = element("span", { className: `swatch ${name}` });
      $("series").append(element("label", {}, box, swatch, FIGURES[name].label));
    }
  },

  choose(cut) {
    store.commit(withCut(this.c, cut));
  },

  type(text) {
    const one = data.classes[this.c];
    const wanted = { never: Infinity, inf: Infinity }[text.trim().toLowerCase()] ?? Number(text.replace(",", "."));
    if (text.trim() === "" || Number.isNaN(wanted)) {
      $("threshold-note").textContent = `“${text}” is not a number; the threshold stays.`;
      $("threshold").value = fieldText(one.threshold[store.state.cuts[this.c]]);
      return;
    }
    const cut = nearestCut(one, wanted);
    this.choose(cut);
    if (one.threshold[cut] !== wanted) {
      $("threshold-note").textContent =
        `${text.trim()} is not among this page's cuts; the nearest is ${fieldText(one.threshold[cut])}.`;
    }
  },

  setPrevalence(text) {
    const value = Number(text.replace(",", ".")) / 100;
    const inside = text.trim() !== "" && value > 0 && value < 1;
    const note = inside || text.trim() === "" ? "" : "A prevalence lies between 0 and 100 %.";
    $("prevalence-note").textContent = note;
    store.commit({ prevalence: store.state.prevalence.with(this.c, inside ? value : null) });
  },

  show(c) {
    this.c = c;
    const one = data.classes[c];
    const rows = one.positives + one.negatives;
    const missing = data.rows - rows;
    $("class-name").textContent = one.name;
    $("support").textContent =
      `${whole(one.positives)} positives of ${whole(rows)} labelled rows` +
      (missing ? ` (${whole(missing)} without a label)` : "") +
      (data.patients === null ? "" : `, positives of ${whole(one.units)} patients`) +
      (one.positives < FEW ? ": too few to tell a good threshold from a lucky one" : "");
    const kept = one.threshold.length;
    $("kept").textContent =
      `${kept} thresholds to choose from; the data has ${whole(one.distinct)} distinct scores. ` +
      "Figures are exact at each, and curves are drawn through them.";
    const [low, high] = one.auroc_interval ?? [NaN, NaN];
    $("ranking").textContent =
      `AUROC ${share(one.auroc ?? NaN)} (${ends([low, high]) || "no interval"}), ` +
      `average precision ${share(one.average_precision ?? NaN)}`;
    $("slider").max = kept - 1;
    $("prevalence-note").textContent = "";
    charts.build(one, (cut) => this.choose(cut));
    this.update();
  },

  update() {
    const one = data.classes[this.c];
    const cut = store.state.cuts[this.c];
    const counts = countsAt(one, cut);
    $("slider").value = cut;
    $("threshold").value = fieldText(one.threshold[cut]);
    $("threshold-note").textContent = "";
    $("slider").setAttribute("aria-valuetext", `threshold ${thresholdText(one.threshold[cut])}`);
    for (const name of Object.keys(FIGURES)) this.fillFigure(name, counts);
    for (const key of ["tp", "fp", "fn", "tn"]) $(key).textContent = whole(counts[key]);
    this.updatePrevalence(one, counts);
    const found = verdict(one, cut, store.state.floor);
    $("verdict").className = found;
    const [short, long] = verdictSentences(one, counts, found);
    $("verdict").replaceChildren(element("strong", { textContent: `${SIGNS[found]} ${short}` }), ` ${long}`);
    charts.move(cut);
    const spoken = this.sentence(one, counts, cut, found);
    $("charts").setAttribute("aria-label", `Charts of ${spoken}`);
    clearTimeout(this.timer); // a dragged slider is not read out at every step
    this.timer = setTimeout(() => { $("spoken").textContent = spoken; }, 300);
  },

  fillFigure(name, counts) {
    const row = $(`figure-${name}`);
    const [part, all] = FIGURES[name].of(counts);
    const cell = (key) => row.querySelector(`.${key}`);
    cell("value").textContent = shown(name, figure(name, counts));
    cell("interval").textContent = ends(interval(name, counts), name);
    cell("share").textContent =
      name === "f1"
        ? `2 × ${whole(part)} / (2 × ${whole(part)} + ${whole(all - part)})`
        : `${whole(part)} of ${whole(all)} ${FIGURES[name].whole}`;
  },

  updatePrevalence(one, counts) {
    const prevalence = store.state.prevalence[this.c];
    const here = ratio(one.positives, one.positives + one.negatives);
    $("prevalence").value = prevalence === null ? "" : percent(prevalence);
    $("prevalence").placeholder = Number.isNaN(here) ? "" : Number((100 * here).toPrecision(3));
    $("observed").hidden = prevalence === null;
    $("figure-table").classList.toggle("with-prevalence", prevalence !== null);
    if (prevalence === null) return;
    $("elsewhere").textContent = `At ${percent(prevalence)} % prevalence`;
    const at = elsewhereWithIntervals(counts, prevalence);
    for (const name of Object.keys(FIGURES)) {
      const cell = $(`figure-${name}`).querySelector(".elsewhere");
      cell.textContent = name in at ? shown(name, at[name][0]) : "as here";
      if (name in at) cell.append(element("small", { textContent: ends(at[name][1], name) }));
    }
  },

  sentence(one, counts, cut, found) {
    const figures = RATES.map((name) => `${FIGURES[name].label.toLowerCase()} ${share(figure(name, counts))}`);
    return (
      `${one.name} at threshold ${thresholdText(one.threshold[cut])}: ${figures.join(", ")}, ` +
      `${perThousand(figure("alarms", counts))} alarms per 1,000; ` +
      `${counts.fn} of ${one.positives} positives missed; floor: ${VERDICTS[found]}`
    );
  },
};

const fieldText = (value) => (Number.isFinite(value) ? String(value) : thresholdText(value));

// What holds, and why no more does.
function verdictSentences(one, counts, found) {
  const floor = data.floors[store.state.floor];
  const allowed = one.misses[store.state.floor];
  const sure = `${percent(data.confidence)} % confidence`;
  const units = `independent ${data.patients === null ? "positives" : "patients with the finding"}`;
  if (found === "none") return ["No positives:", "nothing can be said about recall."];
  if (found === "certified") {
    return ["Certified:", `recall is at least ${floor} on unseen patients, with ${sure}, by ${whole(one.units)} ${units}.`];
  }
  const why =
    allowed < 0
      ? `${one.units} ${units} are too few to certify this; it takes ${data.needed[store.state.floor]} or more.`
      : `To certify this with ${sure}, at most ${whole(allowed)} of the ${whole(one.positives)} positives may be missed; ${whole(counts.fn)} are.`;
  return found === "observed"
    ? [`Recall of ${floor} observed only:`, `it holds on this data, which promises nothing for others. ${why}`]
    : [`Recall below ${floor} on this data.`, why];
}
