// The same table that `predict --output found.csv` writes: what could be read, then what could not.
// Numbers come from the server as text, so that they stay as they were written.

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

export function table(header, entries) {
  const empty = ",".repeat(header.split(",").length - 2);
  const read = entries.filter((one) => one.answer).map((one) => quoted(one.file.name) + one.answer.csv_row);
  const refused = entries.filter((one) => one.refusal).map((one) => `${quoted(one.file.name)},${quoted(one.refusal)}${empty}`);
  return [header, ...read, ...refused, ""].join("\n");
}

export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
