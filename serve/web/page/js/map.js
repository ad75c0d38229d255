// A map of Io with everything that was found: simple cylindrical, west longitude growing to the left.

import { download, json } from "./api.js";
import { COLOURS, KINDS, make, number, time } from "./format.js";

const WIDE = 1000, HIGH = 500, LEFT = 44, BOTTOM = 40, TOP = 12, RIGHT = 12;
const MOST = 5000, LISTED = 300;
const $ = (id) => document.getElementById(id);

const x = (westDeg) => LEFT + ((360 - westDeg) / 360) * WIDE;
const y = (latDeg) => TOP + ((90 - latDeg) / 180) * HIGH;

export class MapRoom {
  constructor(say, open) {
    this.say = say;
    this.open = open;
    $("map-filter").addEventListener("submit", (event) => { event.preventDefault(); this.show(); });
    for (const button of document.querySelectorAll("[data-download]")) {
      const format = button.dataset.download;
      button.addEventListener("click", () => download(`/v1/catalogue?${this.#asked()}&format=${format}`, `catalogue.${format}`)
        .catch((error) => say(error.message, true)));
    }
  }

  #asked() {
    const asked = new URLSearchParams({ limit: MOST });
    for (const [name, value] of new FormData($("map-filter"))) if (value) asked.set(name, value);
    return asked;
  }

  async show() {
    this.volcanoes ??= (await json("/v1/volcanoes")).volcanoes;
    const { detections, total } = await json(`/v1/catalogue?${this.#asked()}`);
    const placed = detections.filter((row) => row.lat_deg !== null);
    const lost = detections.length - placed.length;
    const more = total > detections.length ? ` The first ${detections.length} are drawn.` : "";
    $("map-said").textContent = `${total} detection${total === 1 ? "" : "s"}; ${placed.length} with a place on Io${
      lost ? `, ${lost} without (their frames’ geometry is not known)` : ""}.${more}`;
    $("map").replaceChildren(this.#drawn(placed));
    $("map-table").tBodies[0].replaceChildren(...placed.slice(0, LISTED).map((row) => this.#row(row)));
  }

  #drawn(rows) {
    const svg = make("svg", {
      viewBox: `0 0 ${LEFT + WIDE + RIGHT} ${TOP + HIGH + BOTTOM}`, role: "img",
      "aria-label": `Map of Io with ${rows.length} detections; the table below lists them`,
    });
    svg.append(graticule(), this.#known());
    for (const row of [...rows].sort((a, b) => a.score - b.score)) {
      for (const turn of [0, -360, 360]) if (Math.abs(row.lon_w_deg + turn - 180) <= 190) svg.append(this.#mark(row, turn));
    }
    return svg;
  }

  #known() {
    const group = make("g", { fill: "#a5b1bd" });
    for (const volcano of this.volcanoes) {
      group.append(make("circle", { cx: x(volcano.lon_w_deg), cy: y(volcano.lat_deg), r: 1.8, opacity: 0.75 },
        make("title", {}, `${volcano.name}: ${number(volcano.lat_deg, 1)}°, ${number(volcano.lon_w_deg, 1)}° W`)));
    }
    for (const volcano of namedOnes(this.volcanoes)) {
      const right = x(volcano.lon_w_deg) > LEFT + WIDE - 110;
      group.append(make("text", {
        x: x(volcano.lon_w_deg) + (right ? -5 : 5), y: y(volcano.lat_deg) + 4, "font-size": 11, opacity: 0.9,
        "text-anchor": right ? "end" : "start",
      }, volcano.name));
    }
    return group;
  }

  #mark(row, turn) {
    const cx = x(row.lon_w_deg + turn), cy = y(row.lat_deg);
    const group = make("g", { class: "hit", "data-id": row.detection_id, onclick: () => this.open(row.frame_id, row.detection_id) });
    const colour = COLOURS[row.kind];
    const sigma = row.position_sigma_deg ?? 0;
    if (sigma > 1.5) {
      const across = Math.min(180, sigma / Math.max(Math.cos((row.lat_deg * Math.PI) / 180), 0.1));
      const d = `M${cx - (across / 360) * WIDE},${cy}H${cx + (across / 360) * WIDE}M${cx},${cy - (sigma / 180) * HIGH}V${cy + (sigma / 180) * HIGH}`;
      group.append(make("path", { d, stroke: colour, "stroke-width": 1, opacity: 0.5 }));
    }
    group.append(row.kind === "plume"
      ? make("path", { d: `M${cx},${cy - 8}l8,8l-8,8l-8,-8z`, fill: colour, stroke: "#0f1318", "stroke-width": 1.5 })
      : make("circle", { cx, cy, r: 6, fill: colour, stroke: "#0f1318", "stroke-width": 1.5 }));
    group.append(make("title", {}, `${row.detection_id}: ${KINDS[row.kind]}, score ${number(row.score, 2)}, ${
      number(row.lat_deg, 1)}°, ${number(row.lon_w_deg, 1)}° W ± ${number(sigma, 1)}°${row.volcano ? `, ${row.volcano}` : ""}`));
    return group;
  }

  #row(row) {
    return make("tr", {},
      make("td", {}, make("button", { class: "link", type: "button", onclick: () => this.open(row.frame_id, row.detection_id) }, row.detection_id)),
      make("td", {}, make("span", { class: `dot ${row.kind}` }), KINDS[row.kind]),
      ...[number(row.score, 2), number(row.lat_deg, 1), number(row.lon_w_deg, 1), number(row.position_sigma_deg, 1)]
        .map((text) => make("td", { class: "n" }, text)),
      make("td", {}, row.volcano ? `${row.volcano} (${number(row.volcano_distance_km, 0)} km)` : "–"),
      make("td", {}, [row.instrument, row.filter].filter(Boolean).join(" ") || "–"), make("td", {}, time(row.start_time_utc) || "–"));
  }
}

/** The volcanoes that get their name on the map: those with a plume, as far as names do not cover each other. */
function namedOnes(volcanoes) {
  const taken = [];
  return volcanoes.filter((one) => one.plume || one.plumes_found + one.hotspots_found > 0).filter((one) => {
    const box = [x(one.lon_w_deg), y(one.lat_deg), x(one.lon_w_deg) + 7 * one.name.length, y(one.lat_deg) + 13];
    const free = taken.every((other) => box[2] < other[0] || box[0] > other[2] || box[3] < other[1] || box[1] > other[3]);
    if (free) taken.push(box);
    return free;
  });
}

function graticule() {
  const group = make("g", { fill: "#a5b1bd", "font-size": 12 });
  group.append(make("rect", { x: LEFT, y: TOP, width: WIDE, height: HIGH, fill: "#0b0f14", stroke: "#364250" }));
  for (let west = 0; west <= 360; west += 30) {
    group.append(make("line", { x1: x(west), x2: x(west), y1: TOP, y2: TOP + HIGH, stroke: west % 90 ? "#222b36" : "#364250" }));
    group.append(make("text", { x: x(west), y: TOP + HIGH + 16, "text-anchor": "middle" }, `${west}°`));
  }
  for (let lat = -90; lat <= 90; lat += 30) {
    group.append(make("line", { x1: LEFT, x2: LEFT + WIDE, y1: y(lat), y2: y(lat), stroke: lat ? "#222b36" : "#364250" }));
    group.append(make("text", { x: LEFT - 6, y: y(lat) + 4, "text-anchor": "end" }, `${lat}°`.replace("-", "−")));
  }
  group.append(make("text", { x: LEFT + WIDE / 2, y: TOP + HIGH + 33, "text-anchor": "middle" }, "west longitude"));
  return group;
}
