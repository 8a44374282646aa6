// One partition: what it is, what it uses, what it says, and what can be done with it.

import * as api from "./api.js";
import { draw } from "./chart.js";
import { confirmed, make, notify, say } from "./dom.js";
import { eventTable } from "./events.js";
import { rate, Usage } from "./fleet.js";
import { stateOf } from "./list.js";
import { showLog } from "./logs.js";
import { bytes, count, percent, time } from "./units.js";

const CHARTS = [
  { key: "cpu", head: "Processors", value: (usage) => usage.rates.cpu, shown: percent, top: 100 },
  { key: "memory", head: "Memory", value: (usage) => usage.stats.memory.used_bytes, shown: bytes, limit: (usage) => usage.stats.memory.limit_bytes },
  { key: "calls", head: "System calls a second", value: (usage) => usage.rates.calls, shown: count },
  { key: "faults", head: "Page faults a second", value: (usage) => usage.rates.faults, shown: count },
  { key: "net", head: "Network a second", value: (usage) => usage.rates.net, shown: bytes },
  { key: "files", head: "Files a second", value: (usage) => usage.rates.files, shown: bytes },
];

// Which states allow what, and what is asked before it is done.
const ACTIONS = [
  { name: "start", head: "Start", when: ["created", "exited", "lost"], isManaged: true },
  { name: "stop", head: "Stop", when: ["running", "restarting", "pending", "starting"], body: {} },
  { name: "pause", head: "Pause", when: ["running"] },
  { name: "resume", head: "Resume", when: ["paused"] },
  { name: "kill", head: "Kill", when: ["running", "paused", "starting", "restarting"], body: {}, ask: "Its programs end at once and have no time for anything." },
  { name: "remove", head: "Remove", when: ["created", "exited", "lost"], ask: "Its log and its record are removed." },
];

function tableOf(id, heads) {
  const body = make("tbody");
  const head = make("tr", {}, ...heads.map((text, at) => make("th", { scope: "col", class: at === 0 ? "text" : "" }, text)));
  return { table: make("table", { id }, make("thead", {}, head), body), body };
}

/** Fills a table; rows and cells are kept. A cell is text, or an element of its own. */
function fill(body, lines) {
  while (body.rows.length > lines.length) body.lastChild.remove();
  lines.forEach((cells, at) => {
    const row = body.rows[at] ?? body.appendChild(make("tr", {}, ...cells.map((_, column) => make("td", { class: column === 0 ? "text" : "" }))));
    cells.forEach((cell, column) => {
      if (typeof cell === "string") say(row.cells[column], cell);
      else row.cells[column].replaceChildren(cell);
    });
  });
}

const byRate = (before, now, of) => {
  const [from, to] = [before && of(before), of(now) ?? {}];
  const all = Object.keys(to).filter((name) => to[name] > 0).map((name) => [name, before ? rate(before, now, from?.[name] ?? 0, to[name]) : 0, to[name]]);
  return all.sort((one, other) => other[1] - one[1] || other[2] - one[2]);
};

function histogram(latency) {
  const most = Math.max(1, ...latency.counts);
  const bars = latency.counts.slice(0, 12).map((it) => {
    const bar = make("i");
    // Set by script on the element: the policy forbids style attributes, not this.
    bar.style.height = `${Math.ceil((it / most) * 16)}px`;
    return bar;
  });
  return make("span", { class: "histogram", role: "img", "aria-label": `counts from below 1 µs to above 1 s: ${latency.counts.join(", ")}` }, ...bars);
}

/** The view. Returns what ends it. */
export function showPartition(main, fleet, id) {
  const title = make("h2", { id: "title" });
  const badge = make("span", { class: "state" });
  const buttons = new Map(ACTIONS.map((action) => [action, make("button", { type: "button", "data-action": action.name, class: action.ask ? "harsh" : "", onclick: () => run(action) }, action.head)]));
  const facts = make("dl", { class: "facts" });
  const usage = new Usage(fleet.usage.get(id));
  const charts = CHARTS.map((chart) => {
    const value = make("span", {});
    const canvas = make("canvas", { role: "img" });
    return { ...chart, valueText: value, canvas, figure: make("figure", { class: "chart" }, make("figcaption", {}, make("span", { class: "faint" }, chart.head), value), canvas) };
  });
  const threads = tableOf("threads", ["Thread", "State", "CPU %", "Steal %", "CPU time"]);
  const calls = tableOf("calls", ["System calls", "A second", "In all", "Mean", "<1 µs … >1 s"]);
  const exits = tableOf("exits", ["Exit", "A second", "In all"]);
  const devices = tableOf("devices", ["Device", "Asked/s", "In/s", "Out/s"]);
  const log = showLog(id);
  const events = eventTable(fleet, id);
  main.replaceChildren(
    make("div", { class: "bar" }, title, badge, ...buttons.values()), facts,
    make("div", { class: "charts" }, ...charts.map((chart) => chart.figure)),
    ...log.elements,
    make("div", { class: "columns" },
      make("div", {}, make("h3", {}, "Threads"), threads.table, make("h3", {}, "Devices"), devices.table),
      make("div", {}, make("h3", {}, "System calls"), calls.table, make("h3", {}, "Exits"), exits.table)),
    make("h3", {}, "Events"), make("div", { class: "scroll" }, events.table),
  );

  async function run(action) {
    const name = fleet.partitions.get(id)?.name ?? id;
    if (action.ask && !(await confirmed(`${action.head} ${name}?`, action.ask))) return;
    for (const button of buttons.values()) button.disabled = true;
    try {
      if (action.name === "remove") {
        await api.act("DELETE", api.at(id));
        location.hash = "#/";
        return;
      }
      fleet.took(await api.act("POST", api.at(id, `/${action.name}`), action.body));
    } catch (error) {
      notify(`${error.message}${error.remediation ? ` — ${error.remediation}` : ""}`);
    }
    update();
  }

  let factsShown = "";
  let wasLive = null;
  let stopStats = () => {};

  function update() {
    const partition = fleet.partitions.get(id);
    if (!partition) {
      say(badge, fleet.isRead ? "gone" : "");
      stopStats();
      for (const button of buttons.values()) button.disabled = true;
      return;
    }
    say(title, partition.name ?? partition.id);
    const [text, colour] = stateOf(partition);
    say(badge, text);
    badge.className = `state state-${colour}`;
    for (const [action, button] of buttons) {
      button.disabled = !action.when.includes(partition.state.is) || (action.isManaged && !partition.is_managed);
    }
    const lines = [
      ["Command", partition.command], ["Identifier", partition.id], ["Owner", partition.owner],
      ["Made", new Date(partition.created_ms).toLocaleString()],
      ["Restarts", String(partition.restarts)],
      ["Labels", Object.entries(partition.labels).map(([key, value]) => `${key}=${value}`).join(", ") || "none"],
      ["Volumes", partition.volumes.join(", ") || "none"],
    ];
    if (partition.state.message) lines.push(["Why", partition.state.message]);
    if (!partition.has_log) lines.push(["Log", "is not kept"]);
    if (factsShown !== JSON.stringify(lines)) {
      factsShown = JSON.stringify(lines);
      facts.replaceChildren(...lines.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]));
    }
    const isLive = ["running", "paused", "restarting"].includes(partition.state.is);
    if (isLive && !wasLive) {
      stopStats();
      stopStats = api.keepFollowing(api.at(id, "/stats/stream?threads=true"), { onEvent: (stats) => { usage.take(stats); showUsage(); } });
      // It says more from now on.
      if (wasLive === false) log.again();
    }
    if (!isLive) stopStats();
    wasLive = isLive;
  }

  function showUsage() {
    const { stats: now, before } = usage;
    for (const chart of charts) {
      const text = chart.shown(chart.value(usage)) + (chart.limit ? ` of ${chart.shown(chart.limit(usage))}` : "");
      say(chart.valueText, text);
      chart.canvas.setAttribute("aria-label", `${chart.head}: ${text}`);
      draw(chart.canvas, usage.history[chart.key], chart.canvas.clientWidth, chart.canvas.clientHeight, chart.limit ? chart.limit(usage) : (chart.top ?? 0));
    }
    const earlier = new Map((before?.thread_list ?? []).map((thread) => [thread.id, thread]));
    const lines = (now.thread_list ?? []).map((thread) => {
      const was = earlier.get(thread.id);
      const part = (key) => (was ? rate(before, now, was[key], thread[key]) / 1e7 : 0);
      return [part("cpu_ns"), [thread.name, thread.state, part("cpu_ns").toFixed(1), part("waited_ns").toFixed(1), time(thread.cpu_ns)]];
    });
    fill(threads.body, lines.sort((one, other) => other[0] - one[0]).map(([, cells]) => cells));
    const counters = now.counters ?? {};
    fill(calls.body, byRate(before, now, (stats) => stats.counters?.syscalls).map(([name, a, all]) => {
      const latency = counters.syscall_latency?.[name];
      const timed = latency ? latency.counts.reduce((sum, it) => sum + it, 0) : 0;
      return [name, count(a), count(all), timed ? time(latency.sum_ns / timed) : "", latency ? histogram(latency) : ""];
    }));
    fill(exits.body, byRate(before, now, (stats) => stats.counters?.exits).map(([name, a, all]) => [name, count(a), count(all)]));
    fill(devices.body, (counters.devices ?? []).map((device) => {
      const was = before?.counters?.devices.find((it) => it.name === device.name);
      const part = (key) => (was ? rate(before, now, was[key], device[key]) : 0);
      return [device.name, count(part("requests")), bytes(part("read_bytes")), bytes(part("written_bytes"))];
    }));
  }

  fleet.listeners.add(update);
  update();
  return () => {
    fleet.listeners.delete(update);
    stopStats();
    log.stop();
    events.stop();
  };
}
