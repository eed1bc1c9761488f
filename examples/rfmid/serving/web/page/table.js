// The findings of one photograph, found ones first, then by probability, as the server sorts them.
// Roles are spelt out because on a phone the rows are laid out as no table is.

import { make } from "./dom.js";

const DECISIONS = { yes: "● yes", no: "○ no", "not assessed": "– not assessed" };

export function findingsTable(name, findings, model) {
  const graded = findings.some((one) => one.grade);
  const heads = ["Disease", "Probability", "Threshold", "Decision", ...(graded ? ["Most probable grade"] : []), "Certified recall"];
  return make(
    "table", { role: "table" },
    make("caption", { className: "hidden-visually" }, `Findings in ${name}`),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads.map((head) => make("th", { scope: "col", role: "columnheader", className: head === "Threshold" ? "number" : "" }, head)))),
    make("tbody", { role: "rowgroup" }, ...findings.map((one) => row(one, model, graded))),
  );
}

function row(one, model, graded) {
  return make(
    "tr", { role: "row", className: one.decision === "yes" ? "yes" : "" },
    make("th", { scope: "row", role: "rowheader" }, one.name, " ", make("small", {}, one.code)),
    make("td", { role: "cell" }, make("div", { className: "probability" }, one.probability.toFixed(3), level(one))),
    make("td", { role: "cell", className: "number" }, one.threshold === "inf" ? "none" : one.threshold.toFixed(3)),
    make("td", { role: "cell", className: "decision" }, DECISIONS[one.decision]),
    ...(graded ? [make("td", { role: "cell", className: "grade" }, ...grade(one.grade))] : []),
    make("td", { role: "cell", className: "certified" }, ...certified(one.certified, model)),
  );
}

// The bar repeats the numbers beside it.
function level(one) {
  const fill = make("span", { className: "fill" });
  fill.style.width = `${100 * one.probability}%`;
  const bar = make("span", { className: "level", "aria-hidden": "true" }, fill);
  if (one.threshold !== "inf") {
    const mark = make("span", { className: "mark" });
    mark.style.left = `calc(${100 * one.threshold}% - 1px)`;
    bar.append(mark);
  }
  return bar;
}

function grade(one) {
  if (!one) return [];
  return [`${one.grade} of ${one.highest}`, make("small", {}, `probability ${one.probability.toFixed(2)}`)];
}

function certified(one, model) {
  if (one.recall_at_least !== null) {
    return [`at least ${one.recall_at_least.toFixed(2)}`, make("small", {}, one.evidence)];
  }
  return ["not certified", ...(model.not_certified ? [] : [make("small", {}, one.why_not)])];
}
