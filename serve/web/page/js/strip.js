// The unwrapped limb: the service's picture under axes, and what was found in the same coordinates.

import { ask, framePath } from "./api.js";
import { COLOURS } from "./format.js";

const IO_RADIUS_KM = 1821.49;
const LEFT = 46, BOTTOM = 34, TOP = 6, RIGHT = 8;
const SOFT = "#a5b1bd", INK = "#eceff3";

export class StripView {
  constructor(canvas, none) {
    this.canvas = canvas;
    this.none = none;
    this.frame = null;
    this.shapes = [];
    this.chosen = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Show a frame's limb, or say why there is none. */
  async open(frame, flat) {
    this.frame = frame;
    this.image = null;
    const trusted = frame.limb.radius_px !== null;
    this.canvas.hidden = !trusted;
    this.none.hidden = trusted;
    if (!trusted) {
      this.none.textContent = `No trusted limb: ${frame.limb.reason}`;
      return;
    }
    const answer = await ask(framePath(frame.frame.frame_id, `/strip.png?flat=${flat}`));
    const scale = JSON.parse(answer.headers.get("X-Strip"));
    const image = await createImageBitmap(await answer.blob());
    if (this.frame !== frame) return;
    this.scale = scale;
    this.image = image;
    this.draw();
  }

  set(shapes, chosen) {
    this.shapes = shapes;
    this.chosen = chosen;
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !this.frame) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.clearRect(0, 0, width, height);
    if (!this.image) return;
    this.wide = width - LEFT - RIGHT;
    this.high = height - TOP - BOTTOM;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, LEFT, TOP, this.wide, this.high);
    this.#axes(context);
    context.save();
    context.beginPath();
    context.rect(LEFT, TOP, this.wide, this.high);
    context.clip();
    for (const shape of this.shapes) if (shape.visible && shape.state !== "reject") this.#outline(context, shape);
    context.restore();
  }

  #x(azimuth) { return LEFT + (azimuth / 360) * this.wide; }

  #y(altitude) { return TOP + ((this.scale.high_km - altitude) / (this.scale.high_km - this.scale.low_km)) * this.high; }

  #axes(context) {
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = SOFT;
    context.strokeStyle = "#364250";
    context.textAlign = "right";
    context.textBaseline = "middle";
    const every = this.high < 110 ? 200 : 100;
    for (let km = -100; km <= this.scale.high_km; km += 100) {
      if (km % every && km !== 0) continue;
      context.fillText(`${km}`.replace("-", "−"), LEFT - 5, this.#y(km));
      if (km === 0) this.#level(context, km);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    const turn = this.wide < 420 ? 90 : 30;
    for (let angle = 0; angle <= 360; angle += turn) {
      context.fillText(`${angle}°`, Math.min(this.#x(angle), LEFT + this.wide - 10), TOP + this.high + 4);
    }
    context.fillText("position angle, 0° = up in the picture, clockwise", LEFT + this.wide / 2, TOP + this.high + 19);
    context.save();
    context.translate(9, TOP + this.high / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText("altitude, km", 0, 0);
    context.restore();
  }

  #level(context, km) {
    context.save();
    context.setLineDash([6, 5]);
    context.strokeStyle = INK;
    context.globalAlpha = 0.75;
    context.beginPath();
    context.moveTo(LEFT, this.#y(km));
    context.lineTo(LEFT + this.wide, this.#y(km));
    context.stroke();
    context.restore();
  }

  #outline(context, shape) {
    for (const polygon of shape.polygons) {
      const points = polygon[0].map((point) => this.#unwrapped(point));
      for (const turn of [0, -360, 360]) this.#trace(context, points, turn, shape);
    }
  }

  /** A point of the frame as (azimuth in degrees, altitude in km). */
  #unwrapped([x, y]) {
    const { x_px, y_px, radius_px } = this.frame.limb;
    const azimuth = (Math.atan2(x - x_px, y_px - y) * 180) / Math.PI;
    return [(azimuth + 360) % 360, (Math.hypot(x - x_px, y - y_px) / radius_px - 1) * IO_RADIUS_KM];
  }

  #trace(context, points, turn, shape) {
    context.beginPath();
    let before = points[0][0];
    points.forEach(([azimuth, altitude], n) => {
      const near = azimuth + 360 * Math.round((before - azimuth) / 360);
      before = near;
      context[n ? "lineTo" : "moveTo"](this.#x(near + turn), this.#y(altitude));
    });
    for (const [colour, width] of [["rgba(0,0,0,.8)", 3.5], [shape.id === this.chosen ? "#F0E442" : COLOURS[shape.kind], 1.7]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }
}
