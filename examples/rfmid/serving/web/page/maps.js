// A photograph as the model sees it, and over it the map of a chosen disease.

import { explanation } from "./api.js";
import { make } from "./dom.js";

export function pictureWithMaps(file, answer, model) {
  const seen = make("img", { className: "seen", src: answer.seen, alt: `${file.name}, the part that the model sees` });
  const map = make("img", { className: "map", alt: "", hidden: true });
  const size = `${model.input_size} x ${model.input_size}`;
  const caption = make("figcaption", {}, `The part that the model sees, which it sees at ${size} pixels.`);
  const figure = make("figure", {}, make("div", { className: "picture" }, seen, map));
  if (model.no_maps !== null) {
    figure.append(caption, make("p", { className: "note" }, `No map: ${model.no_maps}.`));
    return figure;
  }
  const options = answer.findings.map((one) => make("option", { value: one.code }, `${one.name} (${one.code})`));
  const which = make("select", { className: "which" }, make("option", { value: "" }, "no disease"), ...options);
  const strength = make("input", { type: "range", min: 0, max: 100, value: 55, className: "strength" });
  const scale = make("div", { className: "scale", hidden: true }, "none", make("i", { "aria-hidden": "true" }), "most in this map");
  const words = make("p", { className: "note map-words", "aria-live": "polite" });
  const strong = make("label", { hidden: true }, "Strength of the map ", strength);
  figure.append(make("label", {}, "Show what raises the score of ", which), strong, scale, words, caption);

  const show = () => (map.style.opacity = strength.value / 100);
  strength.addEventListener("input", show);
  let asked = new AbortController();
  which.addEventListener("change", async () => {
    asked.abort();
    asked = new AbortController();
    map.hidden = strong.hidden = scale.hidden = true;
    words.textContent = which.value && "Computing the map …";
    if (!which.value) return;
    try {
      const found = await explanation(file, which.value, asked.signal);
      const nowhere = found.peak === null;
      map.src = found.overlay;
      map.alt = `Map of ${found.name}`;
      map.hidden = strong.hidden = scale.hidden = nowhere;
      words.textContent = nowhere ? `No position raises the score of ${found.name}.` : found.caution;
      show();
    } catch (refused) {
      if (refused.name !== "AbortError") words.textContent = refused.message;
    }
  });
  return figure;
}
