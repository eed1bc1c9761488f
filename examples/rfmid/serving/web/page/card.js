// One photograph on the page: waiting, read, or refused.

import { make } from "./dom.js";
import { pictureWithMaps } from "./maps.js";
import { findingsTable } from "./table.js";

export class Card {
  constructor(file, { again, remove }) {
    this.file = file;
    this.actions = { again, remove };
    this.element = make("article", {});
    this.wait("Waiting for its turn …");
  }

  wait(words) {
    this.answer = this.refusal = null;
    this.element.className = "card waiting";
    this.element.replaceChildren(this.#status(words));
    this.element.setAttribute("aria-busy", "true");
  }

  refuse(words, canTryAgain) {
    this.refusal = words;
    this.element.className = "card refused";
    this.element.removeAttribute("aria-busy");
    const again = canTryAgain ? [this.#button("Try again", "again")] : [];
    this.element.replaceChildren(this.#status(words, ...again, this.#button("Remove", "remove")));
  }

  show(answer, model, open) {
    this.answer = answer;
    this.element.className = "card read";
    this.element.removeAttribute("aria-busy");
    const names = answer.findings.filter((one) => one.decision === "yes").map((one) => one.name);
    this.verdict = names.join(", ") || "none reaches its threshold";
    const found = make("span", { className: names.length ? "found" : "note" }, this.verdict);
    const size = make("span", { className: "note" }, `${answer.width.toLocaleString("en")} x ${answer.height.toLocaleString("en")} pixels`);
    const summary = make("summary", {}, make("div", {}, make("h3", {}, this.file.name), found, size));
    const details = make("details", {}, summary);
    const fill = () => {
      if (!details.open || details.children.length > 1) return;
      const table = findingsTable(this.file.name, answer.findings, model);
      details.append(make("div", { className: "opened" }, pictureWithMaps(this.file, answer, model), table));
    };
    details.addEventListener("toggle", fill);
    details.open = open;
    fill();
    this.element.replaceChildren(details);
  }

  #status(words, ...buttons) {
    return make("div", { className: "status" }, make("h3", {}, this.file.name), make("p", {}, words), ...buttons);
  }

  #button(label, action) {
    const button = make("button", { type: "button", "aria-label": `${label}: ${this.file.name}` }, label);
    button.addEventListener("click", () => this.actions[action](this));
    return button;
  }
}
