// The file that ThresholdSet.load reads.

function thresholdsFile() {
  const { cuts, preset, floor } = store.state;
  const start = data.presets[preset];
  if (!cuts.some((_, c) => byHand(c))) return start.file; // as the search left it
  const certified = data.classes.map((one, c) => verdict(one, cuts[c], floor) === "certified");
  const options = { strategy: "by hand", started_from: start.name };
  if (certified.some(Boolean)) {
    // The floor is asked of those classes whose thresholds keep it on unseen patients.
    options.min_recall = certified.map((holds) => (holds ? data.floors[floor] : 0));
    options.confidence = data.confidence;
    options.joint = false;
  }
  return {
    ...start.file,
    dtype: data.dtype,
    score_scale: data.score_scale,
    options,
    classes: data.classes.map((one, c) => fileEntry(one, cuts[c], certified[c])),
  };
}

function fileEntry(one, cut, certified) {
  const counts = countsAt(one, cut);
  const known = (name) => {
    const value = figure(name, counts);
    return Number.isNaN(value) ? null : value;
  };
  const threshold = one.threshold[cut];
  return {
    name: data.named ? one.name : null,
    threshold: Number.isFinite(threshold) ? threshold : threshold > 0 ? "inf" : "-inf",
    status: one.positives ? "ok" : "no_positives",
    support: one.positives,
    objective_value: null, // nothing was maximised
    precision: known("precision"),
    recall: known("recall"),
    f1: known("f1") ?? 0, // as the library's files have it
    alarm_rate: known("alarms"),
    certified,
    positives_missing: 0,
  };
}

function download() {
  const text = `${JSON.stringify(thresholdsFile(), null, 2)}\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "thresholds.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
