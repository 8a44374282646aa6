// Lines of history on a canvas.

export const LENGTH = 120;

/** The latest LENGTH values. */
export class History {
  constructor() {
    this.values = new Float64Array(LENGTH);
    this.next = 0;
    this.size = 0;
  }

  push(value) {
    this.values[this.next] = Number.isFinite(value) ? value : 0;
    this.next = (this.next + 1) % LENGTH;
    this.size = Math.min(this.size + 1, LENGTH);
  }

  copy() {
    const copy = new History();
    copy.values.set(this.values);
    [copy.next, copy.size] = [this.next, this.size];
    return copy;
  }

  /** The value so many readings ago. */
  ago(steps) {
    return this.values[(this.next - 1 - steps + 2 * LENGTH) % LENGTH];
  }

  most() {
    let most = 0;
    for (let step = 0; step < this.size; step += 1) most = Math.max(most, this.ago(step));
    return most;
  }
}

let colours = null;

/** After the theme has changed. */
export function forgetColours() {
  colours = null;
}

function palette() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = { line: style.getPropertyValue("--accent").trim(), fill: style.getPropertyValue("--fill").trim() };
  }
  return colours;
}

/** Draws a history, the newest at the right, `top` at the upper edge (at least its own most). */
export function draw(canvas, history, width, height, top = 0) {
  const scale = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, w, h);
  if (history.size < 2 || w < 2) return;
  const most = Math.max(top, history.most()) || 1;
  const step = w / (LENGTH - 1);
  const y = (value) => h - scale - (value / most) * (h - 2 * scale);
  pen.beginPath();
  pen.moveTo(w, y(history.ago(0)));
  for (let at = 1; at < history.size; at += 1) pen.lineTo(w - at * step, y(history.ago(at)));
  pen.strokeStyle = palette().line;
  pen.lineWidth = scale;
  pen.stroke();
  pen.lineTo(w - (history.size - 1) * step, h);
  pen.lineTo(w, h);
  pen.closePath();
  pen.fillStyle = palette().fill;
  pen.fill();
}
