// The parts put together: what is pressed, and what is shown then.

function select(c) {
  overview.mark(c);
  detail.show(c);
}

function refresh() {
  const { preset, floor } = store.state;
  overview.update();
  detail.update();
  $("undo").disabled = !store.past.length;
  $("redo").disabled = !store.future.length;
  $("preset").value = preset;
  $("floor").value = floor;
  const moved = data.classes.filter((_, c) => byHand(c)).length;
  $("preset-about").textContent = data.presets[preset].about;
  $("moved").textContent = moved
    ? `${moved} of ${data.classes.length} moved by hand: that is tuning on this very data, so check on other data what it brings.`
    : "";
}

function goBack(step) {
  const moved = store[step]();
  if (moved !== null && moved !== detail.c) select(moved);
}

function describe() {
  const { rows, patients, classes, confidence } = data;
  const of = patients === null ? "" : ` of ${whole(patients)} patients`;
  $("source").textContent = `${data.source}: ${whole(rows)} rows${of}, ${classes.length} classes`;
  $("confidence").textContent = $("sure").textContent = `${percent(confidence)} %`;
  $("independent").textContent =
    patients === null
      ? "They take every row for another patient; several images of a patient make them too narrow."
      : "They count a patient's rows for as much as they differ; so do the certificates, which count patients.";
  $("preset").append(...data.presets.map(({ name }, i) => element("option", { value: i, textContent: name })));
  $("floor").append(...data.floors.map((floor, i) => element("option", { value: i, textContent: floor })));
}

function keys(event) {
  const typing = event.target.matches("input:not([type=range]):not([type=checkbox])");
  if (typing || !(event.ctrlKey || event.metaKey) || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  goBack(key === "y" || event.shiftKey ? "redo" : "undo");
}

describe();
overview.build(select);
detail.build();
store.onChange = refresh;
$("preset").addEventListener("change", () => {
  const preset = Number($("preset").value);
  store.commit({ preset, cuts: data.presets[preset].cuts });
});
$("floor").addEventListener("change", () => store.commit({ floor: Number($("floor").value) }));
$("undo").addEventListener("click", () => goBack("undo"));
$("redo").addEventListener("click", () => goBack("redo"));
$("download").addEventListener("click", download);
document.addEventListener("keydown", keys);
const most = data.classes.map((one) => one.positives);
select(most.indexOf(Math.max(...most)));
refresh();
let resizing = 0;
new ResizeObserver(() => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => charts.resize());
}).observe($("charts"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => detail.show(detail.c));
