// The frame on a canvas: zoom and pan to the pixel, what was found over it, and a pen for corrections.
// Frame coordinates: (x, y), an integer is a pixel's centre; so the frame begins at -0.5.

import { COLOURS, withError } from "./format.js";
import { Tiles } from "./tiles.js";

const MOST = 64;
const RING_PX = 11;
const CLOSE_PX = 12;
const PAN_PX = 60;
const DRAG_PX = 4;
const INK = "#eceff3";
const RIM = "rgba(0,0,0,.85)";

/** Tell those who listen: "moved", "pixel", "chosen", "drawn", "pen". */
export class Viewer extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.frame = null;
    this.show = { outlines: true, masks: false, limb: true, labels: true };
    this.stretch = { stretch: "asinh", black: 0, white: 1, invert: false, version: "" };
    this.shapes = [];
    this.chosen = null;
    this.pen = null;
    this.pointers = new Map();
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.asked = false;
    new ResizeObserver(() => this.#resized()).observe(canvas);
    this.#listen();
  }

  /** Show a frame, whole. */
  open(frame) {
    this.tiles?.close();
    this.frame = frame;
    this.tiles = frame ? new Tiles(frame, () => { this.draw(); this.#tell("tiles"); }) : null;
    this.chosen = null;
    this.pen = null;
    this.fit();
  }

  /** What is drawn over the frame: [{id, kind, score, polygons, state, row}]. */
  set(shapes) {
    this.shapes = shapes;
    this.draw();
  }

  setStretch(stretch) {
    this.stretch = { ...stretch, version: `${stretch.stretch} ${stretch.black} ${stretch.white} ${stretch.invert}` };
    this.draw();
  }

  get width() { return this.canvas.clientWidth; }
  get height() { return this.canvas.clientHeight; }

  fit() {
    if (!this.frame) { this.draw(); return; }
    const { rows, columns } = this.frame.facts;
    this.least = Math.min(this.width / columns, this.height / rows, MOST) || 0.01;
    this.moveTo((columns - 1) / 2, (rows - 1) / 2, this.least);
  }

  /** Look at a place, with so many screen pixels a frame pixel. */
  moveTo(x, y, scale = this.scale) {
    if (!this.frame) return;
    const { rows, columns } = this.frame.facts;
    this.scale = Math.min(MOST, Math.max(Math.min(this.least ?? 1, 1) / 2, scale));
    this.x = Math.min(columns - 0.5, Math.max(-0.5, x));
    this.y = Math.min(rows - 0.5, Math.max(-0.5, y));
    this.draw();
    this.#tell("moved");
  }

  /** Zoom by a factor, keeping a place of the screen where it is. */
  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const [x, y] = this.toFrame(...at);
    const before = this.scale;
    this.scale = Math.min(MOST, Math.max(Math.min(this.least ?? 1, 1) / 2, this.scale * factor));
    const kept = before / this.scale;
    this.moveTo(x + (this.x - x) * kept, y + (this.y - y) * kept);
  }

  /** Bring a detection into the middle, large enough to be looked at. */
  centre(id) {
    const shape = this.shapes.find((one) => one.id === id);
    if (!shape) return;
    const [x0, y0, x1, y1] = boxOf(shape.polygons);
    const wanted = Math.min(this.width / (4 * (x1 - x0)), this.height / (4 * (y1 - y0)), 16);
    this.moveTo((x0 + x1) / 2, (y0 + y1) / 2, Math.max(this.scale, Math.min(wanted, Math.max(this.least * 3, 2))));
  }

  toFrame(px, py) {
    return [this.x + (px - this.width / 2) / this.scale, this.y + (py - this.height / 2) / this.scale];
  }

  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 + (y - this.y) * this.scale];
  }

  // -- the pen --------------------------------------------------------------------------------------------------

  /** Begin an outline; `about` comes back with it. */
  startPen(about) {
    this.pen = { about, points: [], cross: [this.x, this.y], colour: COLOURS[about.kind] };
    this.#tell("pen");
    this.draw();
    this.canvas.focus();
  }

  stopPen() {
    this.pen = null;
    this.#tell("pen");
    this.draw();
  }

  addCorner(x, y) {
    const first = this.pen.points[0];
    if (first && this.pen.points.length > 2) {
      const [ax, ay] = this.toScreen(...first), [bx, by] = this.toScreen(x, y);
      if (Math.hypot(ax - bx, ay - by) < CLOSE_PX) { this.closePen(); return; }
    }
    this.pen.points.push([round(x), round(y)]);
    this.#tell("pen");
    this.draw();
  }

  closePen() {
    if (this.pen.points.length < 3) return;
    const { about, points } = this.pen;
    this.pen = null;
    this.#tell("pen");
    this.#tell("drawn", { about, polygons: [[[...points, points[0]]]] });
    this.draw();
  }

  // -- drawing --------------------------------------------------------------------------------------------------

  /** Draw soon; once, however often it is asked for. */
  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.#draw(); });
  }

  #draw() {
    const { context, canvas } = this;
    const ratio = canvas.width / Math.max(this.width, 1);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!this.frame) return;
    this.#drawPixels(ratio);
    canvas.setAttribute("aria-busy", !this.tiles.whole);
    if (this.show.limb) this.#drawLimb();
    for (const shape of this.shapes) if (shape.visible) this.#drawShape(shape);
    if (this.show.labels) this.#drawLabels();
    this.#drawScaleBar();
    if (this.pen) this.#drawPen();
  }

  #drawPixels(ratio) {
    const { context } = this;
    const [x0, y0] = this.toFrame(0, 0), [x1, y1] = this.toFrame(this.width, this.height);
    const wanted = Math.max(0, Math.min(this.tiles.coarsest, Math.floor(Math.log2(1 / (this.scale * ratio)) + 0.3)));
    const levels = [...new Set([this.tiles.coarsest, wanted])];
    for (const level of levels) {
      const step = 2 ** level;
      context.imageSmoothingEnabled = this.scale * step * ratio < 1;
      context.imageSmoothingQuality = "high";
      for (const at of this.tiles.cover(level, x0 + 0.5, y0 + 0.5, x1 + 0.5, y1 + 0.5)) {
        const tile = this.tiles.get(at, this.stretch);
        if (!tile) continue;
        const left = at.column * 256 * step, top = at.row * 256 * step;
        const wide = Math.min(tile.columns * step, this.tiles.columns - left);
        const high = Math.min(tile.rows * step, this.tiles.rows - top);
        const [sx, sy] = this.toScreen(left - 0.5, top - 0.5);
        context.drawImage(tile.canvas, 0, 0, wide / step, high / step, sx, sy, wide * this.scale, high * this.scale);
      }
    }
  }

  #drawLimb() {
    const { x_px, y_px, radius_px } = this.frame.limb;
    if (radius_px === null) return;
    const { context } = this;
    const [x, y] = this.toScreen(x_px, y_px);
    for (const [colour, width] of [[RIM, 3], [INK, 1.2]]) {
      context.beginPath();
      context.setLineDash([7, 6]);
      context.arc(x, y, radius_px * this.scale, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.globalAlpha = 0.85;
      context.stroke();
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  #path(polygons) {
    const path = new Path2D();
    for (const polygon of polygons) {
      for (const ring of polygon) {
        ring.forEach(([x, y], n) => path[n ? "lineTo" : "moveTo"](...this.toScreen(x, y)));
        path.closePath();
      }
    }
    return path;
  }

  #drawShape(shape) {
    const { context } = this;
    const colour = shape.state === "reject" ? "#9aa7b4" : COLOURS[shape.kind];
    const path = this.#path(shape.polygons);
    if (this.show.masks && shape.state !== "reject") {
      context.globalAlpha = 0.4;
      context.fillStyle = colour;
      context.fill(path, "evenodd");
      context.globalAlpha = 1;
    }
    const chosen = shape.id === this.chosen;
    if (!this.show.outlines && !chosen) return;
    context.setLineDash(shape.state === "reject" ? [3, 4] : []);
    const outline = this.#isTiny(shape) ? this.#ring(shape) : path;
    for (const [stroke, width] of [[RIM, chosen ? 6 : 4], [chosen ? "#F0E442" : colour, chosen ? 2.6 : 1.8]]) {
      context.strokeStyle = stroke;
      context.lineWidth = width;
      context.stroke(outline);
    }
    context.setLineDash([]);
  }

  #isTiny(shape) {
    const [x0, y0, x1, y1] = boxOf(shape.polygons);
    return Math.max(x1 - x0, y1 - y0) * this.scale < 2 * RING_PX;
  }

  #ring(shape) {
    const [x0, y0, x1, y1] = boxOf(shape.polygons);
    const path = new Path2D();
    const [x, y] = this.toScreen((x0 + x1) / 2, (y0 + y1) / 2);
    path.arc(x, y, RING_PX, 0, 2 * Math.PI);
    return path;
  }

  #drawLabels() {
    const { context } = this;
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const taken = [];
    const shown = this.shapes.filter((shape) => shape.visible).sort((a, b) => b.score - a.score).slice(0, 60);
    for (const shape of shown) {
      const text = labelOf(shape);
      const wide = context.measureText(text).width + 6;
      const place = this.#labelPlace(shape, wide, taken);
      if (!place) continue;
      taken.push([place[0], place[1] - 8, place[0] + wide, place[1] + 8]);
      context.strokeStyle = RIM;
      context.lineWidth = 3.5;
      context.strokeText(text, ...place);
      context.fillStyle = shape.id === this.chosen ? "#F0E442" : shape.state === "reject" ? "#b8c2cc" : COLOURS[shape.kind];
      context.fillText(text, ...place);
    }
  }

  /** Where a label hides the fewest others; null outside the picture. */
  #labelPlace(shape, wide, taken) {
    const [x0, y0, x1, y1] = boxOf(shape.polygons);
    const [left, top] = this.toScreen(x0, y0), [right, bottom] = this.toScreen(x1, y1);
    if (right < 0 || bottom < 0 || left > this.width || top > this.height) return null;
    const gap = this.#isTiny(shape) ? Math.max(4, RING_PX + 4 - (right - left) / 2) : 6;
    const middle = (top + bottom) / 2, centre = (left + right - wide) / 2;
    const places = [[right + gap, middle], [left - gap - wide, middle], [centre, top - gap - 8], [centre, bottom + gap + 8],
      [right + gap, middle + 18], [left - gap - wide, middle - 18], [centre, top - gap - 26], [centre, bottom + gap + 26]];
    return places
      .map((place, n) => ({ place, cost: this.#crowding(place, wide, taken) + n }))
      .reduce((best, one) => (one.cost < best.cost ? one : best)).place;
  }

  #crowding([x, y], wide, taken) {
    const outside = Math.max(0, -x) + Math.max(0, x + wide - this.width) + 4 * (Math.max(0, 8 - y) + Math.max(0, y + 8 - this.height));
    const over = taken.filter((box) => x < box[2] && x + wide > box[0] && y - 8 < box[3] && y + 8 > box[1]).length;
    return outside + 200 * over;
  }

  #drawScaleBar() {
    const scale = this.frame.geometry.km_per_px;
    if (!scale) return;
    const { context } = this;
    const most = (0.25 * this.width * scale) / this.scale;
    const power = 10 ** Math.floor(Math.log10(most));
    const km = [5, 2, 1].find((n) => n * power <= most) * power;
    const wide = (km / scale) * this.scale;
    const right = this.width - 14, y = this.height - 14;
    for (const [colour, width] of [[RIM, 5], [INK, 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(right - wide, y);
      context.lineTo(right, y);
      context.stroke();
    }
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.strokeStyle = RIM;
    context.lineWidth = 3.5;
    context.strokeText(`${km.toLocaleString("en")} km`, right - wide / 2, y - 12);
    context.fillStyle = INK;
    context.fillText(`${km.toLocaleString("en")} km`, right - wide / 2, y - 12);
    context.textAlign = "start";
  }

  #drawPen() {
    const { context, pen } = this;
    const corners = pen.points.map((point) => this.toScreen(...point));
    const cross = this.toScreen(...pen.cross);
    for (const [colour, width] of [[RIM, 4.5], [pen.colour, 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      [...corners, cross].forEach(([x, y], n) => context[n ? "lineTo" : "moveTo"](x, y));
      context.stroke();
      context.beginPath();
      const [x, y] = cross;
      for (const [dx, dy] of [[9, 0], [0, 9]]) {
        context.moveTo(x - dx, y - dy);
        context.lineTo(x + dx, y + dy);
      }
      context.stroke();
    }
    corners.forEach(([x, y], n) => {
      context.beginPath();
      context.arc(x, y, n ? 3.5 : 6, 0, 2 * Math.PI);
      context.fillStyle = n ? pen.colour : "#F0E442";
      context.fill();
      context.strokeStyle = RIM;
      context.lineWidth = 1.5;
      context.stroke();
    });
  }

  // -- hands ----------------------------------------------------------------------------------------------------

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.006), place(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("dblclick", (event) => {
      if (this.pen) this.closePen(); else this.zoom(2, place(event));
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, { at: place(event), began: place(event), moved: this.pointers.size > 0 });
  }

  #move(event) {
    const at = place(event);
    if (this.frame) this.#under(at);
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer || !this.frame) return;
    const before = pointer.at;
    const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId);
    pointer.moved ||= Math.hypot(at[0] - pointer.began[0], at[1] - pointer.began[1]) > DRAG_PX;
    if (!pointer.moved) return;
    pointer.at = at;
    if (others.length) {
      const other = others[0][1].at;
      const was = Math.hypot(before[0] - other[0], before[1] - other[1]), is = Math.hypot(at[0] - other[0], at[1] - other[1]);
      this.zoom(is / Math.max(was, 1), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    } else {
      this.moveTo(this.x - (at[0] - before[0]) / this.scale, this.y - (at[1] - before[1]) / this.scale);
    }
  }

  #up(event) {
    const pointer = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!pointer || pointer.moved || event.type === "pointercancel" || !this.frame) return;
    const [x, y] = this.toFrame(...place(event));
    if (this.pen) this.addCorner(x, y); else this.#tell("chosen", { id: this.at(...place(event)) });
  }

  /** The detection at a place of the screen, the smallest if several are; null where there is none. */
  at(px, py) {
    const hit = this.shapes.filter((shape) => shape.visible && (this.#isTiny(shape)
      ? this.context.isPointInPath(this.#ring(shape), px * this.#ratio, py * this.#ratio)
      : this.context.isPointInPath(this.#path(shape.polygons), px * this.#ratio, py * this.#ratio, "evenodd")));
    return hit.sort((a, b) => area(a) - area(b))[0]?.id ?? null;
  }

  get #ratio() { return this.canvas.width / Math.max(this.width, 1); }

  #under(at) {
    const [x, y] = this.toFrame(...at);
    if (this.pen) { this.pen.cross = [x, y]; this.draw(); }
    this.#tell("pixel", { x: Math.round(x), y: Math.round(y) });
  }

  #key(event) {
    if (!this.frame || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in steps) this.#step(...steps[event.key], event.shiftKey);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-" || event.key === "_") this.zoom(1 / 1.5);
    else if (event.key === "0") this.fit();
    else if (event.key === "1") this.moveTo(this.x, this.y, 1);
    else if (this.pen && event.key === " ") this.addCorner(...this.pen.cross);
    else if (this.pen && event.key === "Enter") this.closePen();
    else if (this.pen && event.key === "Backspace") { this.pen.points.pop(); this.#tell("pen"); this.draw(); }
    else if (this.pen && event.key === "Escape") this.stopPen();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #step(dx, dy, far) {
    if (!this.pen) {
      const by = (PAN_PX * (far ? 4 : 1)) / this.scale;
      this.moveTo(this.x + dx * by, this.y + dy * by);
      return;
    }
    const by = far ? 10 : 1;
    this.pen.cross = [this.pen.cross[0] + dx * by, this.pen.cross[1] + dy * by];
    const [sx, sy] = this.toScreen(...this.pen.cross);
    if (sx < 0 || sy < 0 || sx > this.width || sy > this.height) this.moveTo(...this.pen.cross);
    this.#tell("pixel", { x: Math.round(this.pen.cross[0]), y: Math.round(this.pen.cross[1]) });
    this.draw();
  }

  #resized() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (width === this.canvas.width && height === this.canvas.height) return;
    const whole = !this.least || Math.abs(this.scale / this.least - 1) < 0.01;
    this.canvas.width = width;
    this.canvas.height = height;
    if (whole) this.fit(); else this.draw();
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Number, score and, for a plume of known height, the height. */
export function labelOf(shape) {
  const mark = { accept: "✓ ", reject: "✗ ", redraw: "✎ " }[shape.state] ?? "";
  const name = shape.id.slice(shape.id.lastIndexOf("-") + 1);
  const score = shape.row ? ` ${shape.row.score.toFixed(2)}` : "";
  const height = shape.row?.plume_height_km;
  return `${mark}${name}${score}${height == null ? "" : `  ${withError(height, shape.row.plume_height_sigma_km)} km`}`;
}

/** The first and last x and y of polygons. */
export function boxOf(polygons) {
  const points = polygons.flat(2);
  const x = points.map((point) => point[0]), y = points.map((point) => point[1]);
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}

function area(shape) {
  const [x0, y0, x1, y1] = boxOf(shape.polygons);
  return (x1 - x0) * (y1 - y0);
}

const round = (value) => Math.round(value * 100) / 100;

function place(event) {
  const box = event.currentTarget.getBoundingClientRect?.() ?? event.target.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
