// Elements. What comes from partitions (names, commands, logs) is hostile: it becomes text nodes here, and there is no other way in; the
// page's policy forbids the browser to make markup of strings (require-trusted-types-for).

/** An element with attributes and children; strings become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Sets text where it changed: what stays the same costs no layout. */
export function say(element, text) {
  if (element.shown !== text) {
    element.shown = text;
    element.textContent = text;
  }
}

let timer = 0;

/** Tells what went wrong, for a while. */
export function notify(text) {
  const notice = document.getElementById("notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { notice.hidden = true; }, 10000);
}

/** Asks for a yes. */
export function confirmed(title, text) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Puts rows in order, moving only those that are elsewhere. */
export function arrange(parent, rows) {
  let next = parent.firstChild;
  for (const row of rows) {
    // One that is to come later is taken out, instead of moving all that follow before it.
    if (next && row === next.nextSibling) {
      const later = next;
      next = row;
      later.remove();
    }
    if (row === next) next = next.nextSibling;
    else parent.insertBefore(row, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}
