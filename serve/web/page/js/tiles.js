// A frame's numbers in tiles of several sizes, fetched when they come into sight.

import { ask, framePath } from "./api.js";
import { paint } from "./stretch.js";

export const TILE = 256;
const KEPT = 400;
const AT_ONCE = 4;
const RETRY_MS = 5000;

/** The tiles of one frame. */
export class Tiles {
  /** @param changed called when a tile has come. */
  constructor(frame, changed) {
    this.id = frame.frame.frame_id;
    this.rows = frame.facts.rows;
    this.columns = frame.facts.columns;
    this.coarsest = Math.max(0, Math.ceil(Math.log2(Math.max(this.rows, this.columns) / TILE)));
    this.changed = changed;
    this.tiles = new Map();
    this.queue = [];
    this.running = 0;
    this.closed = false;
  }

  /** Tiles of a level (0 is whole pixels) that cover a part of the frame. */
  cover(level, x0, y0, x1, y1) {
    const side = TILE * 2 ** level;
    const found = [];
    for (let row = Math.max(0, Math.floor(y0 / side)); row * side < Math.min(y1, this.rows); row++) {
      for (let column = Math.max(0, Math.floor(x0 / side)); column * side < Math.min(x1, this.columns); column++) {
        found.push({ level, row, column });
      }
    }
    return found;
  }

  /** The tile, painted for a view; null while it is on its way. */
  get({ level, row, column }, view) {
    const key = `${level}/${row}/${column}`;
    let tile = this.tiles.get(key);
    if (!tile) {
      tile = { level, row, column, numbers: null, painted: "" };
      this.tiles.set(key, tile);
      this.queue.push(tile);
      this.#next();
    }
    if (!tile.numbers) return null;
    if (tile.painted !== view.version) this.#paint(tile, view);
    return tile;
  }

  /** The number at a pixel, where its tile of whole pixels is here; undefined where not. */
  value(x, y) {
    const tile = this.tiles.get(`0/${Math.floor(y / TILE)}/${Math.floor(x / TILE)}`);
    return tile?.numbers ? tile.numbers[(y % TILE) * tile.columns + (x % TILE)] : undefined;
  }

  /** Every number of the coarsest level: enough for a histogram. */
  sample() {
    return this.tiles.get(`${this.coarsest}/0/0`)?.numbers ?? null;
  }

  /** Whether everything that was asked for has come. */
  get whole() { return !this.queue.length && !this.running; }

  close() {
    this.closed = true;
    this.queue = [];
  }

  async #next() {
    if (this.running >= AT_ONCE || !this.queue.length || this.closed) return;
    const tile = this.queue.pop();
    this.running += 1;
    try {
      await this.#fetch(tile);
    } catch { // asked for again, but not at once
      setTimeout(() => { this.tiles.delete(`${tile.level}/${tile.row}/${tile.column}`); this.changed(); }, RETRY_MS);
    }
    this.running -= 1;
    this.#forget();
    if (!this.closed) this.changed();
    this.#next();
  }

  async #fetch(tile) {
    const side = TILE * 2 ** tile.level;
    const asked = new URLSearchParams({
      x0: tile.column * side, y0: tile.row * side, width: side, height: side, step: 2 ** tile.level,
    });
    const answer = await ask(framePath(this.id, `/pixels?${asked}`));
    tile.columns = Number(answer.headers.get("X-Columns"));
    tile.rows = Number(answer.headers.get("X-Rows"));
    tile.numbers = new Float32Array(await answer.arrayBuffer());
  }

  #paint(tile, view) {
    tile.canvas ??= Object.assign(document.createElement("canvas"), { width: tile.columns, height: tile.rows });
    const context = tile.canvas.getContext("2d");
    const image = context.createImageData(tile.columns, tile.rows);
    paint(tile.numbers, image.data, view);
    context.putImageData(image, 0, 0);
    tile.painted = view.version;
  }

  #forget() {
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= KEPT) return;
      if (tile.numbers && tile.level < this.coarsest) this.tiles.delete(key);
    }
  }
}
