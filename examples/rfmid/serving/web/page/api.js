// What the server is asked, and what it answers in words for people.

const WAITS = 4; // how often a busy server is asked again
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

export class Refused extends Error {
  constructor(kind, words) {
    super(words);
    this.kind = kind;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("unreachable", "The server doesn't answer. Is it still running?");
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    const busy = response.status === 503;
    throw new Refused(busy ? "busy" : "http", busy ? "The server is busy." : `The server answered ${response.status}.`);
  }
  if (!response.ok) throw new Refused(answer.kind, answer.error);
  return answer;
}

export const model = () => ask("api/model");

async function send(path, file, signal) {
  let body;
  try {
    body = await file.arrayBuffer();
  } catch {
    throw new Refused("unreadable", "The browser can't read this file. Is it a folder, or has it been moved?");
  }
  return ask(path, { method: "POST", body, signal, headers: { "Content-Type": "application/octet-stream" } });
}

// A server that is busy is asked again a few times; `waiting` is told.
export async function findings(file, waiting) {
  for (let tried = 0; ; tried += 1) {
    try {
      return await send("api/predict", file);
    } catch (refused) {
      if (refused.kind !== "busy" || tried === WAITS) throw refused;
      waiting(`The server is busy with other photographs; asking again (${tried + 1} of ${WAITS}) …`);
      await pause(1);
    }
  }
}

export const explanation = (file, code, signal) => send(`api/explain?code=${encodeURIComponent(code)}`, file, signal);
