// The API: requests, and streams of events. A token, if one is needed, goes with each request in a header, and lives as long as the tab.

const PLACE = "septum-token";
let onStranger = () => {};

export const token = () => sessionStorage.getItem(PLACE);

export function setToken(text) {
  if (text) sessionStorage.setItem(PLACE, text);
  else sessionStorage.removeItem(PLACE);
}

/** Called when the server does not know who asks. */
export function whenStranger(act) {
  onStranger = act;
}

export class Refused extends Error {
  constructor(status, problem) {
    super(problem ? `${problem.message}: ${problem.cause}` : `the server answered ${status}`);
    this.status = status;
    this.remediation = problem?.remediation ?? "";
  }
}

async function send(method, path, { body, signal, headers = {} } = {}) {
  const all = { ...headers };
  if (token()) all.authorization = `Bearer ${token()}`;
  if (body !== undefined) all["content-type"] = "application/json";
  const answer = await fetch(path, {
    method, signal, headers: all, cache: "no-store", credentials: "omit", redirect: "error",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => null);
  if (answer.status === 401) onStranger();
  throw new Refused(answer.status, problem);
}

export async function get(path, signal) {
  return (await send("GET", path, { signal })).json();
}

export async function act(method, path, body) {
  const answer = await send(method, path, { body });
  return answer.status === 204 ? null : answer.json();
}

/** The path of a partition, whatever it is called. */
export const at = (id, rest = "") => `v1/partitions/${encodeURIComponent(id)}${rest}`;

/** All partitions, page by page. */
export async function partitions(signal) {
  const all = [];
  let cursor = "";
  do {
    const page = await get(`v1/partitions?limit=1000${cursor && "&cursor=" + encodeURIComponent(cursor)}`, signal);
    all.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return all;
}

/** Events of a stream, until it ends: EventSource could not send the token. `onOpen` is called when the server has begun to answer. */
export async function follow(path, { signal, onEvent, onOpen = () => {} }) {
  const answer = await send("GET", path, { signal, headers: { accept: "text/event-stream" } });
  onOpen();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let pieces = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    // Large events come in many pieces: they are put together once.
    const end = value.lastIndexOf("\n\n");
    if (end < 0 && !(value.startsWith("\n") && pieces.at(-1)?.endsWith("\n"))) {
      pieces.push(value);
      continue;
    }
    const text = pieces.join("") + value;
    const whole = text.lastIndexOf("\n\n");
    pieces = [text.slice(whole + 2)];
    for (const block of text.slice(0, whole).split("\n\n")) deliver(block, onEvent);
  }
}

function deliver(block, onEvent) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
    else if (line.startsWith("event:")) kind = line.slice(6).trim();
  }
  if (data.length > 0) onEvent(JSON.parse(data.join("\n")), kind);
}

/**
 * A stream that is followed again whenever it breaks, and not while nobody looks at the page; returns what stops it.
 * `ends`: one that comes to its end is over, and not broken.
 */
export function keepFollowing(path, { onEvent, onOpen = () => {}, onState = () => {}, ends = false }) {
  let stopped = false;
  let running = null;
  let pause = 500;
  let timer = 0;
  const go = async () => {
    if (stopped || document.hidden || running) return;
    clearTimeout(timer);
    running = new AbortController();
    const own = running;
    try {
      await follow(path, {
        signal: own.signal,
        onEvent,
        onOpen: () => { pause = 500; onState("live"); onOpen(); },
      });
      if (ends) {
        stopped = true;
        onState("over");
      }
    } catch (error) {
      if (error.status === 401 || error.status === 403 || error.status === 404 || error.status === 409) stopped = true;
    }
    if (running === own) running = null;
    if (stopped || document.hidden) return;
    onState("cut");
    timer = setTimeout(go, pause);
    pause = Math.min(pause * 2, 10000);
  };
  const look = () => {
    if (document.hidden) running?.abort();
    else setTimeout(go, 50);
  };
  document.addEventListener("visibilitychange", look);
  go();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
    running?.abort();
  };
}
