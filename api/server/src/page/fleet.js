// All partitions that are known: what they are (list and events) and what they use (readings each second).

import * as api from "./api.js";
import { History } from "./chart.js";

const sum = (counts) => {
  let all = 0;
  for (const name in counts) all += counts[name];
  return all;
};

function traffic(stats, kinds) {
  let [to, from] = [0, 0];
  for (const device of stats.counters?.devices ?? []) {
    if (kinds.includes(device.name.split("/")[0])) {
      to += device.read_bytes;
      from += device.written_bytes;
    }
  }
  return [to, from];
}

const totals = (stats) => ({
  cpu: stats.cpu.user_ns + stats.cpu.system_ns,
  calls: sum(stats.counters?.syscalls),
  faults: stats.counters?.page_faults ?? 0,
  exits: sum(stats.counters?.exits),
  net: traffic(stats, ["vsock"]),
  files: traffic(stats, ["fs", "block"]),
});

/** What happened a second between two readings of one start; a guest may count backwards: then nothing happened. */
export function rate(before, now, from, to) {
  return (Math.max(0, to - from) * 1000) / Math.max(1, now.at_ms - before.at_ms);
}

export class Usage {
  /** `earlier`: one whose history this one goes on with. */
  constructor(earlier = null) {
    this.stats = null;
    this.before = null;
    this.totals = null;
    this.rates = { cpu: 0, calls: 0, faults: 0, exits: 0, net: 0, files: 0 };
    this.history = {};
    for (const key of ["cpu", "memory", "calls", "faults", "net", "files"]) {
      this.history[key] = earlier ? earlier.history[key].copy() : new History();
    }
  }

  take(stats) {
    if (this.stats && stats.at_ms <= this.stats.at_ms) return;
    const is_same = this.stats && this.stats.started_ms === stats.started_ms;
    const [before, from, to] = [is_same ? this.stats : null, this.totals, totals(stats)];
    for (const key of Object.keys(this.rates)) {
      if (!before) this.rates[key] = 0;
      else if (Array.isArray(to[key])) this.rates[key] = rate(before, stats, from[key][0] + from[key][1], to[key][0] + to[key][1]);
      else this.rates[key] = rate(before, stats, from[key], to[key]);
    }
    // Nanoseconds a second, in percent of a processor.
    this.rates.cpu /= 1e7;
    [this.stats, this.before, this.totals] = [stats, before, to];
    this.history.memory.push(stats.memory.used_bytes);
    // The first reading of a start has no rates.
    if (!before) return;
    for (const key of ["cpu", "calls", "faults", "net", "files"]) this.history[key].push(this.rates[key]);
  }
}

export class Fleet {
  constructor() {
    this.partitions = new Map();
    this.usage = new Map();
    this.events = [];
    this.listeners = new Set();
    /** Whether the list was ever read. */
    this.isRead = false;
    this.wanted = new Set();
    this.asking = false;
    this.stops = [];
  }

  /** `onState` hears whether it is live. */
  start(onState) {
    let isMeasuring = false;
    this.stops.push(
      // Events first: what happens while the list is read is not lost.
      api.keepFollowing("v1/events", {
        onOpen: async () => {
          await this.read();
          // Partitions are shown before all of them are asked what they use.
          if (isMeasuring) return;
          isMeasuring = true;
          requestAnimationFrame(() => {
            if (this.stops.length > 0) this.stops.push(api.keepFollowing("v1/stats/stream", { onEvent: (list) => this.measured(list.items) }));
          });
        },
        onEvent: (event) => this.happened(event),
        onState,
      }),
    );
  }

  stop() {
    for (const stop of this.stops.splice(0)) stop();
  }

  async read() {
    try {
      const all = await api.partitions();
      this.partitions = new Map(all.map((partition) => [partition.id, partition]));
      this.isRead = true;
      for (const id of this.usage.keys()) if (!this.partitions.has(id)) this.usage.delete(id);
      this.changed();
    } catch (error) {
      // Whoever cannot read the list is told by the stream's state.
      console.debug(error);
    }
  }

  happened(event) {
    this.events.push(event);
    if (this.events.length > 500) this.events.splice(0, 100);
    if (event.kind === "removed") {
      this.partitions.delete(event.partition);
      this.usage.delete(event.partition);
      this.wanted.delete(event.partition);
    } else {
      this.wanted.add(event.partition);
      this.ask();
    }
    this.changed();
  }

  /** Reads those to which something happened; many at once are one list. */
  async ask() {
    if (this.asking) return;
    this.asking = true;
    await new Promise((resolve) => setTimeout(resolve, 30));
    while (this.wanted.size > 0) {
      const ids = [...this.wanted];
      this.wanted.clear();
      if (ids.length > 8) await this.read();
      else await Promise.all(ids.map((id) => this.look(id)));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.asking = false;
  }

  async look(id) {
    try {
      this.took(await api.get(api.at(id)));
    } catch (error) {
      if (error.status === 404) this.partitions.delete(id);
      this.changed();
    }
  }

  /** A partition as it is now, from whoever has asked. */
  took(partition) {
    const known = this.partitions.get(partition.id);
    if (!known || known.revision <= partition.revision) this.partitions.set(partition.id, partition);
    this.changed();
  }

  measured(items) {
    for (const stats of items) {
      let usage = this.usage.get(stats.partition);
      if (!usage) this.usage.set(stats.partition, (usage = new Usage()));
      usage.take(stats);
    }
    const live = new Set(items.map((stats) => stats.partition));
    for (const id of this.usage.keys()) if (!live.has(id) && !this.partitions.has(id)) this.usage.delete(id);
    this.changed();
  }

  /** Those who show something are told, once before the next picture. */
  changed() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      for (const listener of this.listeners) listener();
    });
  }
}
