// Take photographs, send them one after another, and show what comes back.

import { Refused, findings, model as askModel } from "./api.js";
import { Card } from "./card.js";
import { download, table } from "./csv.js";
import { byId, counted, megabytes } from "./dom.js";

const AGAIN = ["busy", "worker_died", "too_slow", "slow_upload", "no_model", "unreachable"];

let model = null;
let cards = [];
const queue = [];
let running = 0;

const say = (words) => (byId("spoken").textContent = words);

function describe() {
  const read = cards.filter((one) => one.answer).length;
  const refused = cards.filter((one) => one.refusal).length;
  const left = cards.length - read - refused;
  const parts = [`${read} of ${counted(cards.length, "photograph")} read`];
  if (refused) parts.push(`${refused} not taken`);
  if (left) parts.push(`${left} to go`);
  byId("progress").textContent = parts.join(", ");
  byId("results").hidden = !cards.length;
  byId("download").disabled = !(read + refused);
}

async function work(card) {
  card.wait("Being read …");
  try {
    const answer = await findings(card.file, (words) => card.wait(words));
    const first = cards.filter((one) => one.answer).length === 0;
    card.show(answer, model, first);
    say(`${card.file.name}: ${card.verdict}`);
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    card.refuse(refused.message, AGAIN.includes(refused.kind));
    say(`${card.file.name} was not taken. ${refused.message}`);
  }
  describe();
}

async function start() {
  if (running >= model.limits.workers) return;
  running += 1;
  while (queue.length) await work(queue.shift());
  running -= 1;
}

const actions = {
  again: (card) => {
    card.wait("Waiting for its turn …");
    queue.push(card);
    describe();
    start();
  },
  remove: (card) => {
    cards = cards.filter((one) => one !== card);
    card.element.remove();
    describe();
    (byId("cards").querySelector("summary, button") ?? byId("files")).focus();
  },
};

function take(files) {
  const { max_files: most, max_bytes: largest } = model.limits;
  [...files].forEach((file, k) => {
    const card = new Card(file, actions);
    cards.push(card);
    byId("cards").append(card.element);
    if (k >= most) card.refuse(`Not taken: at most ${most} photographs at once. Add it again afterwards.`);
    else if (file.size > largest) card.refuse(`The file is too large: it has ${megabytes(file.size)}, and at most ${megabytes(largest)} are taken.`);
    else queue.push(card);
  });
  const refused = cards.filter((one) => one.refusal).length;
  say(`${counted(files.length, "photograph")} added${refused ? `, ${refused} not taken` : ""}.`);
  describe();
  for (let k = 0; k < model.limits.workers; k += 1) start();
}

function listen() {
  const files = byId("files");
  files.addEventListener("change", () => {
    take(files.files);
    files.value = ""; // so that the same photograph can be chosen again
  });
  byId("choose").addEventListener("submit", (event) => event.preventDefault());
  byId("download").addEventListener("click", () => download("findings.csv", table(model.csv_header, cards)));
  byId("clear").addEventListener("click", () => {
    queue.length = 0;
    cards = [];
    byId("cards").replaceChildren();
    describe();
    say("All photographs removed.");
    files.focus();
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
  });
}

function introduce() {
  const { limits, confidence } = model;
  byId("source").textContent = `Model "${model.source}": ${model.classes.length} diseases, each with its own threshold.`;
  byId("limits").textContent = `JPEG, PNG, TIFF, BMP or WebP, up to ${megabytes(limits.max_bytes)} and ${limits.max_pixels / 1e6} million pixels each, ${counted(limits.max_files, "photograph")} at once. They go to the memory of this server and are not kept.`;
  const sure = `${Math.round(100 * confidence)} %`;
  byId("about-certified").append(
    model.not_certified
      ? ` Here no disease has one: ${model.not_certified}.`
      : ` It holds with a confidence of ${sure}, for each disease by itself. "Not certified": too few of those patients had the disease, or too few of them were found, to show the floor that the threshold was chosen for.`,
  );
}

try {
  model = await askModel();
  introduce();
  listen();
  byId("files").disabled = false;
} catch (refused) {
  byId("source").textContent = refused.message;
  byId("source").className = "problem";
}
