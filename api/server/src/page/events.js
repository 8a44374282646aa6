// What happened to partitions.

import * as api from "./api.js";
import { make, notify } from "./dom.js";

const SHOWN = 500;

function line(event) {
  const at = new Date(event.at_ms);
  return make("tr", {},
    make("td", { class: "text" }, make("time", { datetime: at.toISOString() }, at.toLocaleString())),
    make("td", { class: "text" }, event.kind),
    make("td", { class: "text cut" }, make("a", { href: `#/p/${encodeURIComponent(event.partition)}` }, event.name ?? event.partition)),
    make("td", { class: "text" }, event.detail ?? ""));
}

/** A table of events, the newest first; of one partition, if it is given. Returns it and what ends it. */
export function eventTable(fleet, id = null) {
  const body = make("tbody");
  const head = make("tr", {}, ...["When", "What", "Partition", "Detail"].map((text) => make("th", { scope: "col", class: "text" }, text)));
  const table = make("table", { id: "events" }, make("thead", {}, head), body);
  const isWanted = (event) => id === null || event.partition === id;
  let last = 0;

  function add(events) {
    const fresh = events.filter((event) => event.sequence > last && isWanted(event));
    if (events.length > 0) last = Math.max(last, events.at(-1).sequence);
    body.prepend(...fresh.slice(-SHOWN).reverse().map(line));
    while (body.childNodes.length > SHOWN) body.lastChild.remove();
  }

  const known = [];
  const abort = new AbortController();
  const update = () => add(fleet.events);
  api.follow("v1/events?after=0&follow=false", { signal: abort.signal, onEvent: (event) => known.push(event) })
    .then(() => { add(known); update(); fleet.listeners.add(update); })
    .catch((error) => { if (error.name !== "AbortError") notify(error.message); });
  return { table, stop: () => { abort.abort(); fleet.listeners.delete(update); } };
}

export function showEvents(main, fleet) {
  const { table, stop } = eventTable(fleet);
  main.replaceChildren(make("div", { class: "bar" }, make("h2", {}, "Events")), make("div", { class: "scroll" }, table));
  return stop;
}
