// What a program says, as it says it.

import * as api from "./api.js";
import { make } from "./dom.js";

const KEPT = 2000;
// Colours and movements of terminals (ECMA-48), and other control characters.
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Text as it is, bytes that are none as far as they are. */
function textOf(text) {
  if (typeof text === "string") return text;
  const bytes = (text.hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** The view of a log. Returns its element and what ends it. */
export function showLog(id) {
  const log = make("pre", { class: "log", id: "log", tabindex: "0", "aria-label": "Log" });
  const state = make("span", { class: "faint", id: "log-state" });
  let waiting = [];
  let open = null;
  let isDue = false;

  function flush() {
    isDue = false;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    for (const entry of waiting) {
      const text = textOf(entry.text).replace(ESCAPES, "").replace(CONTROLS, "\ufffd");
      // A piece without an end goes on in the next one of the same stream.
      if (open && open.isError === entry.is_error) open.element.append(text);
      else {
        if (open) log.append("\n");
        open = { isError: entry.is_error, element: make("span", { class: entry.is_error ? "error" : "", title: entry.time }, text) };
        log.append(open.element);
      }
      if (entry.is_whole) {
        log.append("\n");
        open = null;
      }
    }
    waiting = [];
    for (let extra = log.childNodes.length - 2 * KEPT; extra > 0; extra -= 1) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  const follow = () => api.keepFollowing(api.at(id, `/logs?follow=true&tail=${KEPT}`), {
    ends: true,
    onOpen: () => {
      // From the beginning: what was shown before is there again.
      [waiting, open] = [[], null];
      log.replaceChildren();
      state.textContent = "followed";
    },
    onEvent: (entry) => {
      waiting.push(entry);
      if (waiting.length > 2 * KEPT) waiting.splice(0, KEPT);
      if (!isDue) {
        isDue = true;
        requestAnimationFrame(flush);
      }
    },
    onState: (what) => {
      if (what !== "live") state.textContent = what === "over" ? "that was all" : "cut off; trying again";
    },
  });
  let end = follow();
  return {
    elements: [make("h3", {}, "Log ", state), log],
    again: () => { end(); end = follow(); },
    stop: () => end(),
  };
}
