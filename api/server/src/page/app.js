// The page: which view is in front, keys, the theme, and who asks.

import * as api from "./api.js";
import { forgetColours } from "./chart.js";
import { make, say } from "./dom.js";
import { showEvents } from "./events.js";
import { Fleet } from "./fleet.js";
import { showList, step } from "./list.js";
import { showPartition } from "./partition.js";
import { bytes } from "./units.js";

const main = document.getElementById("main");
const line = document.getElementById("line");
const fleet = new Fleet();
const memory = { filter: "", which: "live", sort: "cpu", isDown: true };
let end = () => {};
let isAsking = false;

function show() {
  if (isAsking) return;
  end();
  const [, view, id] = location.hash.split("/");
  if (view === "p" && id) end = showPartition(main, fleet, decodeURIComponent(id));
  else if (view === "events") end = showEvents(main, fleet);
  else end = showList(main, fleet, memory);
  for (const [name, is] of [["to-list", !view], ["to-events", view === "events"]]) {
    const link = document.getElementById(name);
    if (is) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.focus({ preventScroll: true });
}

function summary() {
  let [live, cpu, used] = [0, 0, 0];
  for (const [id, usage] of fleet.usage) {
    if (fleet.partitions.get(id)?.state.is !== "running") continue;
    live += 1;
    cpu += usage.rates.cpu;
    used += usage.stats.memory.used_bytes;
  }
  say(document.getElementById("summary"), `${live} running, ${cpu.toFixed(1)} % CPU, ${bytes(used)} of memory`);
}

function heard(state) {
  say(line, state === "live" ? "live" : "cut off; trying again");
  line.className = `is-${state}`;
}

/** Asks for a token: whoever comes by TCP needs one. */
function login() {
  if (isAsking) return;
  isAsking = true;
  fleet.stop();
  end();
  end = () => {};
  const wasWrong = api.token() !== null;
  api.setToken(null);
  say(line, "");
  const field = make("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "how" });
  const form = make("form", { class: "login" },
    make("h2", {}, "Who asks?"),
    make("p", { id: "how" }, wasWrong ? "The token is none, or has expired. " : "This server wants a token. ",
      "Make one on its host: ", make("code", {}, "septum token create browser --scope write --expires 12h")),
    make("label", { for: "token" }, "Token"), field,
    make("button", { type: "submit" }, "Go on"),
    make("p", { class: "faint" }, "It is kept until this tab is closed, and sent to this server alone."));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    api.setToken(field.value.trim());
    isAsking = false;
    begin();
  });
  main.replaceChildren(form);
  field.focus();
}

function begin() {
  document.getElementById("leave").hidden = !api.token();
  show();
  fleet.start(heard);
}

const root = document.documentElement;
root.dataset.theme = localStorage.getItem("septum-theme") ?? "";
document.getElementById("theme").addEventListener("click", () => {
  const isDark = getComputedStyle(root).colorScheme === "dark";
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("septum-theme", root.dataset.theme);
  forgetColours();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forgetColours);
document.getElementById("leave").addEventListener("click", () => { api.setToken(null); location.reload(); });
const help = document.getElementById("help");
document.getElementById("keys").addEventListener("click", () => help.showModal());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const isField = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") {
    if (isField) event.target.blur();
    else if (location.hash.length > 2) location.hash = "#/";
  } else if (isField) {
    return;
  } else if (event.key === "/") {
    document.getElementById("filter")?.focus();
    event.preventDefault();
  } else if (event.key === "?") help.showModal();
  else if (event.key === "e") location.hash = "#/events";
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
});

window.addEventListener("hashchange", () => { if (location.hash !== "#main") show(); });
fleet.listeners.add(summary);
api.whenStranger(login);
begin();
