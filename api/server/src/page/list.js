// All partitions, a row each. Rows are made once and changed where something changed.

import { draw } from "./chart.js";
import { arrange, make, say } from "./dom.js";
import { ago, bytes, count } from "./units.js";

// Height of a row, in pixels (style.css), and how many are filled before they are in sight.
const ROW = 27;
const AROUND = 10;
const NONE = { cpu: 0, calls: 0, faults: 0, exits: 0, net: 0, files: 0 };
const LIVE = new Set(["running", "paused", "starting", "restarting", "pending"]);

const label = (partition) => partition.name ?? partition.id;

// Widths are fixed: a number that changes is no reason to measure all rows anew.
const COLUMNS = [
  { key: "name", head: "Name", width: 150, text: true, value: (row) => label(row.partition) },
  { key: "state", head: "State", width: 120, text: true, value: (row) => row.partition.state.is },
  { key: "cpu", head: "CPU %", width: 75, value: (row) => row.rates.cpu, shown: (value) => value.toFixed(1) },
  { key: "line", head: "", width: 98, canvas: true },
  { key: "memory", head: "Memory", width: 85, value: (row) => row.memory, shown: bytes },
  { key: "calls", head: "Calls/s", width: 78, value: (row) => row.rates.calls, shown: count },
  { key: "faults", head: "Faults/s", width: 82, value: (row) => row.rates.faults, shown: count },
  { key: "exits", head: "Exits/s", width: 78, value: (row) => row.rates.exits, shown: count },
  { key: "net", head: "Net/s", width: 78, value: (row) => row.rates.net, shown: bytes },
  { key: "files", head: "Files/s", width: 82, value: (row) => row.rates.files, shown: bytes },
  { key: "threads", head: "Threads", width: 82, value: (row) => row.threads, shown: String },
  { key: "age", head: "Age", width: 65, value: (row) => row.partition.created_ms, shown: (value) => ago(value) },
  { key: "command", head: "Command", text: true, value: (row) => row.partition.command },
];

/** How it goes, in a word or two, and how that is coloured. */
export function stateOf(partition) {
  const state = partition.state;
  if (state.is === "exited") return [`exited ${state.status}`, state.status === 0 ? "exited" : "failed"];
  if (state.is === "pending") return [`pending (${state.reason})`, "pending"];
  return [state.is, state.is];
}

class Row {
  constructor(partition) {
    this.link = make("a", { href: `#/p/${encodeURIComponent(partition.id)}` });
    this.badge = make("span", {});
    this.cells = {};
    this.element = make("tr", { class: "row", "data-id": partition.id });
    for (const column of COLUMNS) {
      const cell = make("td", { class: column.text ? "text cut" : "" });
      if (column.key === "name") cell.append(this.link);
      else if (column.key === "state") cell.append(this.badge);
      else if (column.canvas) cell.append((this.canvas = make("canvas", { "aria-hidden": "true" })));
      this.cells[column.key] = cell;
      this.element.append(cell);
    }
    this.drawn = null;
  }

  update(partition, usage) {
    this.partition = partition;
    const isLive = LIVE.has(partition.state.is) && usage;
    this.rates = isLive ? usage.rates : NONE;
    this.memory = isLive ? usage.stats.memory.used_bytes : 0;
    this.threads = isLive ? (usage.stats.counters?.vcpus ?? 0) : 0;
    this.usage = isLive ? usage : null;
  }

  /** What a row has wherever it is: who searches the page, or goes by keys, finds it. */
  name() {
    say(this.link, label(this.partition));
  }

  show() {
    const { partition } = this;
    this.name();
    const [text, colour] = stateOf(partition);
    say(this.badge, text);
    if (this.colour !== colour) this.badge.className = `state state-${(this.colour = colour)}`;
    for (const column of COLUMNS) {
      if (column.shown) say(this.cells[column.key], column.shown(column.value(this)));
    }
    if (this.cells.command.shown !== partition.command) {
      say(this.cells.command, partition.command);
      this.cells.command.title = partition.command;
    }
    const at = this.usage?.stats.at_ms ?? 0;
    if (this.usage && this.drawn !== at) {
      this.drawn = at;
      draw(this.canvas, this.usage.history.cpu, 80, 18, 5);
    }
  }
}

/** The view. Returns what ends it. */
export function showList(main, fleet, memory) {
  const rows = new Map();
  const filter = make("input", { type: "search", id: "filter", placeholder: "filter ( / )", "aria-label": "Filter by name, command or label", value: memory.filter });
  const which = make("select", { id: "which", "aria-label": "Which" }, make("option", { value: "live" }, "that live"), make("option", { value: "all" }, "all"));
  which.value = memory.which;
  const shownCount = make("span", { class: "faint", id: "count" });
  const heads = {};
  const head = make("tr");
  for (const column of COLUMNS) {
    const cell = make("th", { scope: "col", class: column.text ? "text" : "" });
    if (column.width) cell.style.width = `${column.width}px`;
    if (column.value) {
      cell.append(make("button", { type: "button", onclick: () => sortBy(column) }, column.head));
      heads[column.key] = cell;
    }
    head.append(cell);
  }
  const body = make("tbody");
  main.replaceChildren(
    make("div", { class: "bar" }, make("h2", {}, "Partitions"), filter, which, shownCount),
    make("div", { class: "scroll" }, make("table", { id: "partitions" }, make("thead", {}, head), body)),
  );
  let order = [];
  const empty = make("p", { class: "faint", id: "empty" });
  main.append(empty);

  function sortBy(column) {
    if (memory.sort === column.key) memory.isDown = !memory.isDown;
    else [memory.sort, memory.isDown] = [column.key, !column.text];
    update();
  }

  function wanted(partition) {
    if (memory.which === "live" && !LIVE.has(partition.state.is)) return false;
    if (!memory.filter) return true;
    const labels = Object.entries(partition.labels).map(([key, value]) => `${key}=${value}`).join(" ");
    return `${label(partition)} ${partition.id} ${partition.command} ${labels}`.toLowerCase().includes(memory.filter.toLowerCase());
  }

  /** Fills the rows that are in sight, and some around them: the others are filled when they come there. */
  function showSeen() {
    const first = Math.floor(-body.getBoundingClientRect().top / ROW) - AROUND;
    const last = first + Math.ceil(innerHeight / ROW) + 2 * AROUND;
    for (let at = Math.max(0, first); at < Math.min(order.length, last); at += 1) order[at].show();
    for (const row of order) row.name();
  }

  function update() {
    const shown = [];
    for (const [id, partition] of fleet.partitions) {
      let row = rows.get(id);
      if (!wanted(partition)) continue;
      if (!row) rows.set(id, (row = new Row(partition)));
      row.update(partition, fleet.usage.get(id));
      shown.push(row);
    }
    for (const id of rows.keys()) if (!fleet.partitions.has(id)) rows.delete(id);
    const column = COLUMNS.find((it) => it.key === memory.sort);
    const down = memory.isDown ? -1 : 1;
    shown.sort((one, other) => {
      const [a, b] = [column.value(one), column.value(other)];
      if (a !== b) return (a < b ? -1 : 1) * down;
      return label(one.partition) < label(other.partition) ? -1 : 1;
    });
    order = shown;
    // Where one is stays where it is.
    const focused = document.activeElement;
    arrange(body, shown.map((row) => row.element));
    showSeen();
    if (focused && focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
    for (const key in heads) {
      const order = key === memory.sort ? (memory.isDown ? "descending" : "ascending") : null;
      if (order) heads[key].setAttribute("aria-sort", order);
      else heads[key].removeAttribute("aria-sort");
    }
    say(shownCount, `${shown.length} of ${fleet.partitions.size}`);
    say(empty, shown.length > 0 || !fleet.isRead ? "" : fleet.partitions.size > 0 ? "None of them." : "There is no partition. 'septum run -d -- PROGRAM' starts one.");
  }

  const scrolled = () => requestAnimationFrame(showSeen);
  addEventListener("scroll", scrolled, { passive: true });
  addEventListener("resize", scrolled);
  filter.addEventListener("input", () => { memory.filter = filter.value; update(); });
  which.addEventListener("change", () => { memory.which = which.value; update(); });
  fleet.listeners.add(update);
  update();
  return () => {
    fleet.listeners.delete(update);
    removeEventListener("scroll", scrolled);
    removeEventListener("resize", scrolled);
  };
}

/** Goes to the next or the previous row. */
export function step(by) {
  const links = [...document.querySelectorAll("#partitions tbody a")];
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
}
