// A volcano through time: what was measured, with 1-sigma bars, and open triangles where it was in view and not found.

import { download, json } from "./api.js";
import { KINDS, make, number, time, withError } from "./format.js";

const WIDE = 1000, HIGH = 320, LEFT = 72, RIGHT = 20, TOP = 40, BOTTOM = 46;
const BANDS = ["#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#eceff3"];
const QUANTITIES = {
  power: { label: "spectral power, GW/µm", kind: "hotspot", value: "spectral_power_gw_um", sigma: "spectral_power_sigma_gw_um", limit: "spectral_power_limit_gw_um", log: true },
  height: { label: "plume height above the limb, km", kind: "plume", value: "plume_height_km", sigma: "plume_height_sigma_km" },
  temperature: { label: "colour temperature, K", kind: "hotspot", value: "temperature_k", sigma: "temperature_sigma_k" },
  snr: { label: "peak signal-to-noise", value: "peak_snr", limit: "limit_snr", log: true },
};
const $ = (id) => document.getElementById(id);
const path = (name) => `/v1/volcanoes/${encodeURIComponent(name)}/timeseries`;

export class SeriesRoom {
  constructor(say, open) {
    this.say = say;
    this.open = open;
    $("series-form").addEventListener("submit", (event) => {
      event.preventDefault();
      location.hash = `#/series/${encodeURIComponent($("series-name").value.trim())}`;
      this.show($("series-name").value.trim());
    });
    $("series-quantity").addEventListener("change", () => this.series && this.#draw());
    $("series-csv").addEventListener("click", () => this.series
      && download(`${path(this.series.volcano.name)}?format=csv`, `${this.series.volcano.name}.csv`));
  }

  async show(name) {
    const { volcanoes } = await json("/v1/volcanoes");
    const seen = volcanoes.sort((a, b) => count(b) - count(a) || a.name.localeCompare(b.name));
    $("volcano-names").replaceChildren(...seen.map((one) => make("option", { value: one.name }, count(one) ? `${count(one)} found` : "")));
    const wanted = name || seen[0].name;
    $("series-name").value = wanted;
    this.series = await json(path(wanted));
    if (!name) this.#pick();
    this.#draw();
  }

  /** Choose a quantity that there is something of. */
  #pick() {
    const has = Object.entries(QUANTITIES).find(([, one]) => this.series.moments.some((row) => row[one.value] !== null));
    if (has) $("series-quantity").value = has[0];
  }

  #draw() {
    const { volcano, moments, note } = this.series;
    const seen = moments.filter((row) => row.found === "yes").length;
    $("series-said").textContent = `${volcano.name}, ${number(volcano.lat_deg, 1)}°, ${number(volcano.lon_w_deg, 1)}° W: found ${
      seen} time${seen === 1 ? "" : "s"}, in view and not found ${moments.length - seen} time${moments.length - seen === 1 ? "" : "s"}. ${note}`;
    $("chart").replaceChildren(chart(moments, QUANTITIES[$("series-quantity").value], volcano.name));
    $("moments").tBodies[0].replaceChildren(...moments.map((row) => this.#row(row)));
  }

  #row(row) {
    const cells = [
      number(row.peak_snr, 1), withError(row.spectral_power_gw_um, row.spectral_power_sigma_gw_um, 2),
      withError(row.temperature_k, row.temperature_sigma_k), withError(row.plume_height_km, row.plume_height_sigma_km), number(row.emission_deg, 0),
    ];
    if (row.found === "no" && row.limit_snr !== null) cells[0] = `< ${number(row.limit_snr, 0)}`;
    if (row.spectral_power_limit_gw_um !== null) cells[1] = `< ${number(row.spectral_power_limit_gw_um, 2)}`;
    return make("tr", {}, make("td", {}, time(row.start_time_utc) || "–"),
      make("td", {}, make("button", { class: "link", type: "button", onclick: () => this.open(row.frame_id, row.detection_id) }, row.frame_id)),
      make("td", {}, make("span", { class: `dot ${row.kind}` }), KINDS[row.kind]), make("td", {}, bandOf(row)), make("td", {}, row.found),
      ...cells.map((text) => make("td", { class: "n" }, text)));
  }
}

const count = (volcano) => volcano.plumes_found + volcano.hotspots_found;
const bandOf = (row) => [row.instrument, row.filter].filter(Boolean).join(" ") || "unknown";

function chart(moments, quantity, name) {
  const svg = make("svg", {
    viewBox: `0 0 ${LEFT + WIDE + RIGHT} ${TOP + HIGH + BOTTOM}`, role: "img",
    "aria-label": `${quantity.label} of ${name} against time; the table below holds the numbers`,
  });
  const points = moments.map((row) => pointOf(row, quantity)).filter(Boolean);
  if (!points.length) {
    svg.append(make("text", { x: LEFT + WIDE / 2, y: TOP + HIGH / 2, "text-anchor": "middle", fill: "#a5b1bd", "font-size": 16 },
      `No ${quantity.label.split(",")[0]} was measured here.`));
    return svg;
  }
  const scales = scalesOf(points, quantity.log);
  svg.append(axes(scales, quantity));
  const bands = [...new Set(points.map((point) => point.band))].sort();
  for (const point of points) svg.append(markOf(point, scales, BANDS[bands.indexOf(point.band) % BANDS.length]));
  svg.append(legend(bands, points.some((point) => point.limit)));
  return svg;
}

function pointOf(row, quantity) {
  if (quantity.kind && row.kind !== quantity.kind) return null;
  const at = Date.parse(row.start_time_utc?.endsWith("Z") ? row.start_time_utc : `${row.start_time_utc}Z`);
  const value = row[quantity.value], limit = quantity.limit && row[quantity.limit];
  if (Number.isNaN(at) || (value == null && limit == null)) return null;
  return { at, value: value ?? limit, sigma: value == null ? 0 : row[quantity.sigma] ?? 0, limit: value == null, band: bandOf(row), row };
}

function scalesOf(points, log) {
  const times = points.map((point) => point.at);
  let [first, last] = [Math.min(...times), Math.max(...times)];
  const pad = Math.max((last - first) * 0.04, 4.32e7);
  [first, last] = [first - pad, last + pad];
  const ends = points.flatMap((point) => [point.value + point.sigma, point.value - point.sigma, point.value]).filter((v) => !log || v > 0);
  let [low, high] = [Math.min(...ends), Math.max(...ends)];
  [low, high] = log ? [low / 1.6, high * 1.6] : [Math.min(0, low), high + (high - Math.min(0, low)) * 0.12 || 1];
  const bend = log ? Math.log10 : (v) => v;
  return {
    first, last, low, high, log,
    x: (at) => LEFT + ((at - first) / (last - first)) * WIDE,
    y: (v) => TOP + HIGH - ((bend(Math.max(v, log ? low : -Infinity)) - bend(low)) / (bend(high) - bend(low))) * HIGH,
  };
}

function axes(scales, quantity) {
  const group = make("g", { fill: "#a5b1bd", "font-size": 13 });
  group.append(make("rect", { x: LEFT, y: TOP, width: WIDE, height: HIGH, fill: "#0b0f14", stroke: "#364250" }));
  for (const tick of ticksOf(scales)) {
    group.append(make("line", { x1: LEFT, x2: LEFT + WIDE, y1: scales.y(tick), y2: scales.y(tick), stroke: "#222b36" }));
    group.append(make("text", { x: LEFT - 7, y: scales.y(tick) + 4, "text-anchor": "end" }, `${Number(tick.toPrecision(3))}`.replace("-", "−")));
  }
  const span = scales.last - scales.first;
  for (let n = 0; n <= 5; n++) {
    const at = scales.first + (span * n) / 5;
    const shown = new Date(at).toISOString().slice(0, span > 2e8 ? 10 : 16).replace("T", " ");
    group.append(make("text", { x: scales.x(at), y: TOP + HIGH + 18, "text-anchor": n === 0 ? "start" : n === 5 ? "end" : "middle" }, shown));
  }
  group.append(make("text", { x: LEFT + WIDE / 2, y: TOP + HIGH + 38, "text-anchor": "middle" }, "time, UTC"));
  const label = make("text", { transform: `translate(16 ${TOP + HIGH / 2}) rotate(-90)`, "text-anchor": "middle" }, quantity.label);
  group.append(label);
  return group;
}

function ticksOf({ low, high, log }) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const digit of [1, 2, 5]) if (digit * 10 ** power >= low && digit * 10 ** power <= high) found.push(digit * 10 ** power);
    }
    return found.length > 9 ? found.filter((tick) => Number.isInteger(Math.round(Math.log10(tick) * 1e6) / 1e6)) : found;
  }
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((n) => n * power >= raw) * power;
  return Array.from({ length: 12 }, (_, n) => Math.ceil(low / step) * step + n * step).filter((tick) => tick <= high);
}

function markOf(point, scales, colour) {
  const cx = scales.x(point.at), cy = scales.y(point.value);
  const group = make("g", { stroke: colour, "stroke-width": 1.6, fill: "none" });
  if (point.limit) group.append(make("path", { d: `M${cx - 6},${cy - 5}h12l-6,10z`, opacity: 0.8 }));
  else {
    if (point.sigma) group.append(make("line", { x1: cx, x2: cx, y1: scales.y(point.value - point.sigma), y2: scales.y(point.value + point.sigma) }));
    group.append(make("circle", { cx, cy, r: 5, fill: colour, stroke: "#0f1318" }));
  }
  const { row } = point;
  group.append(make("title", {}, `${time(row.start_time_utc)} UTC, ${point.band}, ${row.frame_id}: ${point.limit ? "below " : ""}${
    withError(point.value, point.sigma || null, 2)}`));
  return group;
}

function legend(bands, limits) {
  const group = make("g", { "font-size": 13, fill: "#eceff3" });
  let left = LEFT;
  for (const [n, band] of bands.entries()) {
    group.append(make("circle", { cx: left + 6, cy: 20, r: 5, fill: BANDS[n % BANDS.length] }), make("text", { x: left + 16, y: 24 }, band));
    left += 34 + 7.4 * band.length;
  }
  if (limits) {
    group.append(make("path", { d: `M${left},15h12l-6,10z`, fill: "none", stroke: "#eceff3", "stroke-width": 1.6 }),
      make("text", { x: left + 18, y: 24 }, "in view, not found: below this"));
  }
  return group;
}
