// The room where one frame is looked at: picture, strip, table, threshold, stretch and corrections, all linked.

import { download, framePath, json } from "./api.js";
import { Corrections } from "./corrections.js";
import { brief, KINDS, make, number, time, withError } from "./format.js";
import { rangeOf, shareOf, softeningOf } from "./stretch.js";
import { StripView } from "./strip.js";
import { Viewer } from "./viewer.js";

const PROBE_MS = 120;
const $ = (id) => document.getElementById(id);

export class FrameRoom {
  /** @param say shows a line of text, and speaks it. */
  constructor(say, confidentOf) {
    this.say = say;
    this.confidentOf = confidentOf;
    this.frame = null;
    this.viewer = new Viewer($("view"));
    this.strip = new StripView($("strip"), $("no-strip"));
    this.corrections = new Corrections(() => this.#changed());
    this.leastScore = 0;
    this.#listen();
  }

  /** Show a frame, and a detection on it. */
  async open(id, detection = null) {
    if (this.frame?.frame.frame_id === id) {
      this.choose(detection, true);
      return;
    }
    if (!this.#mayLeave()) return;
    const [frame, saved] = await Promise.all([json(framePath(id)), json(framePath(id, "/corrections"))]);
    this.frame = frame;
    this.corrections.open(frame, saved);
    $("nothing").hidden = true;
    this.#title();
    this.#facts();
    this.#resetStretch();
    this.viewer.open(frame);
    this.strip.open(frame, $("strip-flat").checked).catch((error) => this.say(error.message, true));
    this.#changed();
    if (detection) this.choose(detection, true);
    this.say(this.#summary());
  }

  #mayLeave() {
    return !this.corrections.dirty || confirm("Corrections of this frame are not saved. Leave them?");
  }

  #summary() {
    const count = (kind) => this.frame.detections.filter((row) => row.kind === kind).length;
    const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
    const limb = this.frame.limb.radius_px === null ? "no trusted limb, so no plumes were looked for" : "limb found";
    return `${this.frame.frame.frame_id}: ${plural(count("plume"), "plume")}, ${plural(count("hotspot"), "hot spot")}; ${limb}.`;
  }

  #title() {
    const { frame, facts, geometry } = this.frame;
    $("frame-title").textContent = frame.frame_id;
    const known = [
      frame.instrument, frame.filter, facts.wavelength_um && `${number(facts.wavelength_um, 3)} µm`,
      time(frame.start_time_utc) && `${time(frame.start_time_utc)} UTC`,
      facts.exposure_s && `${brief(facts.exposure_s)} s exposure`,
      geometry.km_per_px && `${number(geometry.km_per_px, 1)} km/px at the limb`,
      `${facts.columns} × ${facts.rows} px`, frame.status === "partial" && "partial",
    ];
    $("frame-facts").textContent = known.filter(Boolean).join("  ·  ");
    $("view").setAttribute("aria-label", this.#summary());
  }

  #facts() {
    const { frame, facts, limb, geometry } = this.frame;
    const rows = {
      Source: facts.source, "SHA-256": frame.sha256, Target: facts.target || "not named",
      Observed: `${number(100 * (frame.coverage ?? 0), 1)} %`,
      Limb: limb.radius_px === null ? limb.reason : `centre (${number(limb.x_px, 1)}, ${number(limb.y_px, 1)}) px, radius ${
        withError(limb.radius_px, limb.sigma_px, 1)} px, from ${limb.source}`,
      Geometry: [geometry.source, geometry.range_km && `range ${Math.round(geometry.range_km).toLocaleString("en")} km`,
        geometry.phase_deg != null && `phase ${number(geometry.phase_deg, 1)}°`].filter(Boolean).join(", "),
      Model: `${facts.model}, ${facts.operating_point}`, Notes: [...facts.warnings, ...geometry.notes].join("; ") || "none",
    };
    $("facts").replaceChildren(...Object.entries(rows).flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, `${value}`)]));
  }

  // -- what is shown --------------------------------------------------------------------------------------------

  #changed() {
    if (!this.frame) return;
    this.shapes = this.corrections.shapes(this.leastScore);
    this.viewer.set(this.shapes);
    this.strip.set(this.shapes, this.viewer.chosen);
    this.#table();
    this.#state();
    const rows = this.frame.detections;
    $("score-count").textContent = `${rows.filter((row) => row.score >= this.leastScore).length} of ${rows.length} shown`;
  }

  #table() {
    const held = document.activeElement?.dataset?.act;
    const body = $("detections").tBodies[0];
    body.replaceChildren(...this.shapes.map((shape) => this.#row(shape)));
    const empty = !this.shapes.length;
    $("no-detections").hidden = !empty;
    $("no-detections").textContent = this.frame.limb.radius_px === null
      ? "Nothing was found; without a trusted limb no plumes were looked for." : "Nothing was found on this frame.";
    $("detections").hidden = empty;
    if (held) body.querySelector(`[data-act="${CSS.escape(held)}"]`)?.focus();
  }

  #row(shape) {
    const { row } = shape;
    const name = shape.id.slice(shape.id.lastIndexOf("-") + 1);
    const place = row && row.lat_deg !== null;
    const cells = row ? [
      number(row.score, 2), number(row.peak_snr, 1), `${row.area_px}`,
      place ? number(row.lat_deg, 1) : "–", place ? number(row.lon_w_deg, 1) : "–", place ? number(row.position_sigma_deg, 1) : "–",
      withError(row.plume_height_km, row.plume_height_sigma_km), withError(row.spectral_power_gw_um, row.spectral_power_sigma_gw_um, 2),
      withError(row.temperature_k, row.temperature_sigma_k),
    ] : Array(9).fill("–");
    const volcano = row?.volcano ? `${row.volcano} (${number(row.volcano_distance_km, 0)} km)` : "–";
    const chosen = this.viewer.chosen === shape.id;
    return make("tr", {
      "aria-selected": chosen, class: [shape.state === "reject" && "rejected", !shape.visible && "faint"].filter(Boolean).join(" "),
      onclick: (event) => event.target.closest("button") || this.choose(shape.id, true), "data-id": shape.id,
    },
    make("td", {}, make("button", {
      class: "link", type: "button", "data-act": `go ${shape.id}`, onclick: () => this.choose(shape.id, true),
    }, shape.state === "redraw" && !row ? shape.id : name)),
    make("td", {}, make("span", { class: `dot ${shape.kind}` }), KINDS[shape.kind]), make("td", { class: "acts" }, ...this.#acts(shape)),
    ...cells.map((text) => make("td", { class: "n" }, text)),
    make("td", {}, volcano), make("td", {}, (row?.flags ?? "").replaceAll("|", " ").replaceAll("_", " ").toLowerCase() || "–"));
  }

  #acts(shape) {
    const act = (name, text, pressed, label, run) => make("button", {
      type: "button", "data-act": `${name} ${shape.id}`, "aria-pressed": pressed, "aria-label": `${label} ${shape.id}`, title: label, onclick: run,
    }, text);
    const redraw = act("redraw", "✎", shape.state === "redraw", "Redraw", () => this.redraw(shape));
    if (!shape.row) return [redraw, " ", act("remove", "✗", false, "Remove", () => this.corrections.remove(shape.id))];
    return [
      act("accept", "✓", shape.state === "accept", "Accept", () => this.corrections.decide(shape.row, "accept")), " ",
      act("reject", "✗", shape.state === "reject", "Reject", () => this.corrections.decide(shape.row, "reject")), " ", redraw,
    ];
  }

  /** Mark a detection in the picture, the strip and the table; look at it where `go` says so. */
  choose(id, go = false) {
    this.viewer.chosen = id;
    if (go && id) {
      this.viewer.centre(id);
      $("stage").scrollIntoView({ block: "nearest" });
    }
    this.viewer.draw();
    this.strip.set(this.shapes, id);
    for (const row of $("detections").tBodies[0].rows) {
      const chosen = row.dataset.id === id;
      row.setAttribute("aria-selected", chosen);
      if (chosen && !go) row.scrollIntoView({ block: "nearest" });
    }
    const shape = this.shapes.find((one) => one.id === id);
    if (shape) this.say(describe(shape));
  }

  #cycle(by) {
    const shown = this.shapes.filter((shape) => shape.visible);
    if (!shown.length) return;
    const now = shown.findIndex((shape) => shape.id === this.viewer.chosen);
    const next = now < 0 ? (by > 0 ? 0 : shown.length - 1) : (now + by + shown.length) % shown.length;
    this.choose(shown[next].id, true);
  }

  // -- corrections ----------------------------------------------------------------------------------------------

  redraw(shape) {
    this.viewer.startPen({ kind: shape.kind, detectionId: shape.row ? shape.id : "", objectId: shape.row ? "" : shape.id });
    $("stage").scrollIntoView({ block: "nearest" });
  }

  #state() {
    const { corrections } = this;
    const counts = { accept: 0, reject: 0, redraw: 0 };
    for (const one of corrections.objects.values()) counts[one.decision] += 1;
    const parts = [[counts.accept, "accepted"], [counts.reject, "rejected"], [counts.redraw, "drawn"]];
    const counted = parts.filter(([n]) => n).map(([n, word]) => `${n} ${word}`).join(", ");
    const said = counted ? `${counted}.` : "None yet.";
    const when = corrections.revision ? ` Saved ${time(corrections.saved)} UTC, revision ${corrections.revision}.` : "";
    $("correction-state").textContent = corrections.dirty ? `${said} Not saved.` : said + when;
    $("save").disabled = !corrections.dirty;
    $("undo").disabled = !corrections.past.length;
    if (document.activeElement !== $("reviewer")) $("reviewer").value = corrections.reviewer || localStorage.getItem("reviewer") || "";
    if (document.activeElement !== $("note")) $("note").value = corrections.note;
  }

  async save() {
    const { corrections } = this;
    if (!this.frame || !corrections.dirty) return;
    corrections.reviewer = $("reviewer").value.trim();
    corrections.note = $("note").value.trim();
    localStorage.setItem("reviewer", corrections.reviewer);
    try {
      const saved = await json(framePath(this.frame.frame.frame_id, "/corrections"), {
        method: "PUT", body: JSON.stringify(corrections.document()),
        headers: { "Content-Type": "application/json", "If-Match": `"${corrections.revision}"` },
      });
      corrections.open(this.frame, saved);
      this.say(`Corrections saved, revision ${saved.revision}.`);
      this.#changed();
      document.dispatchEvent(new CustomEvent("corrected"));
    } catch (error) {
      this.say(error.message, true);
    }
  }

  // -- stretch --------------------------------------------------------------------------------------------------

  #resetStretch() {
    const chosen = document.querySelector('input[name="stretch"]:checked').value;
    const [black, white] = rangeOf(chosen, this.frame.levels);
    this.#setStretch({ stretch: chosen, black, white, invert: $("invert").checked });
  }

  #setStretch(stretch) {
    if (!(stretch.white > stretch.black)) return;
    this.stretch = { ...stretch, softening: softeningOf(this.frame.levels, stretch.black, stretch.white) };
    this.viewer.setStretch(this.stretch);
    const { low, high } = this.#span();
    for (const end of ["black", "white"]) {
      if (document.activeElement !== $(end)) $(end).value = Number(stretch[end].toPrecision(5));
      $(`${end}-range`).value = Math.round((1000 * (stretch[end] - low)) / (high - low));
    }
    $("stretch-unit").textContent = this.frame.facts.unit;
    this.#histogram();
  }

  /** The range of the two sliders: what the frame holds, but for its wildest pixels. */
  #span() {
    const { levels } = this.frame;
    const wide = rangeOf("asinh", levels);
    const low = Math.min(levels.percentiles[0], wide[0]), high = Math.max(levels.percentiles[10], wide[1]);
    return { low, high: high > low ? high : low + 1 };
  }

  #histogram() {
    const canvas = $("histogram");
    const numbers = this.viewer.tiles?.sample();
    const context = canvas.getContext("2d");
    canvas.width = canvas.clientWidth;
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    if (!numbers || !width) return;
    const { low, high } = this.#span();
    const bins = new Array(Math.ceil(width / 2)).fill(0);
    for (const value of numbers) {
      const bin = Math.floor((bins.length * (value - low)) / (high - low));
      if (bin >= 0 && bin < bins.length) bins[bin] += 1;
    }
    const most = Math.log1p(Math.max(...bins));
    bins.forEach((count, n) => {
      const grey = Math.round(70 + 170 * shareOf(low + ((n + 0.5) * (high - low)) / bins.length, this.stretch));
      context.fillStyle = `rgb(${grey},${grey},${grey})`;
      const high_ = (Math.log1p(count) / most) * (height - 4);
      context.fillRect(n * 2, height - high_, 2, high_);
    });
    for (const [end, colour] of [["black", "#a5b1bd"], ["white", "#fff"]]) {
      context.fillStyle = colour;
      context.fillRect(Math.round((width * (this.stretch[end] - low)) / (high - low)) - 1, 0, 2, height);
    }
  }

  // -- what is under the cursor ---------------------------------------------------------------------------------

  #pixel({ x, y }) {
    const { facts } = this.frame;
    if (x < 0 || y < 0 || x >= facts.columns || y >= facts.rows) {
      $("under").textContent = "outside the frame";
      return;
    }
    const value = this.viewer.tiles.value(x, y);
    const shown = value === undefined ? "…" : Number.isNaN(value) ? "not observed" : `${brief(value)} ${facts.unit}`;
    this.#under = { x, y };
    $("under").textContent = `x ${x}  y ${y}  ${shown}${this.#above(x, y)}`;
    clearTimeout(this.probing);
    this.probing = setTimeout(() => this.#probe(x, y), PROBE_MS);
  }

  #under = null;

  #above(x, y) {
    const { x_px, y_px, radius_px } = this.frame.limb;
    if (radius_px === null) return "";
    const km = (Math.hypot(x - x_px, y - y_px) / radius_px - 1) * 1821.49;
    const angle = ((Math.atan2(x - x_px, y_px - y) * 180) / Math.PI + 360) % 360;
    return km < 0 ? "  on the disk" : `  ${Math.round(km)} km above the limb at ${angle.toFixed(1)}°`;
  }

  async #probe(x, y) {
    const { frame, facts } = this.frame;
    try {
      const pixel = await json(framePath(frame.frame_id, `/pixel?x=${x}&y=${y}`));
      if (this.#under?.x !== x || this.#under?.y !== y) return;
      const value = pixel.value === null ? "not observed" : `${brief(pixel.value)} ${facts.unit}`;
      const place = pixel.lat_deg === null ? "" : `  lat ${number(pixel.lat_deg, 1)}°  W lon ${number(pixel.lon_w_deg, 1)}°`;
      const here = pixel.detections.length ? `  in ${pixel.detections.map((id) => id.slice(id.lastIndexOf("-") + 1)).join(", ")}` : "";
      $("under").textContent = `x ${x}  y ${y}  ${value}${this.#above(x, y)}${place}${here}`;
    } catch { /* the next move asks again */ }
  }

  // -- hands ----------------------------------------------------------------------------------------------------

  #listen() {
    const { viewer } = this;
    viewer.addEventListener("moved", () => { $("zoom").textContent = `${number(viewer.scale, viewer.scale < 10 ? 2 : 1)}×`; });
    viewer.addEventListener("pixel", (event) => this.frame && this.#pixel(event.detail));
    viewer.addEventListener("chosen", (event) => this.choose(event.detail.id));
    viewer.addEventListener("tiles", () => this.frame && this.#histogram());
    viewer.addEventListener("pen", () => this.#hint());
    viewer.addEventListener("drawn", (event) => {
      const name = this.corrections.redraw(event.detail.about, event.detail.polygons);
      this.choose(event.detail.about.detectionId || name);
      this.say("Outline drawn. Save the corrections to keep it.");
    });
    const press = {
      "zoom-in": () => viewer.zoom(1.5), "zoom-out": () => viewer.zoom(1 / 1.5), "zoom-fit": () => viewer.fit(),
      "zoom-one": () => viewer.moveTo(viewer.x, viewer.y, 1),
      "draw-plume": () => this.frame && viewer.startPen({ kind: "plume" }),
      "draw-hotspot": () => this.frame && viewer.startPen({ kind: "hotspot" }),
      save: () => this.save(), undo: () => this.corrections.undo(), "stretch-reset": () => this.frame && this.#resetStretch(),
      "score-all": () => this.setScore(0), "score-confident": () => this.setScore(this.confidentOf()),
    };
    for (const [id, run] of Object.entries(press)) $(id).addEventListener("click", run);
    $("score").addEventListener("input", () => this.setScore(Number($("score").value)));
    for (const id of ["reviewer", "note"]) {
      $(id).addEventListener("input", () => {
        this.corrections[id] = $(id).value;
        this.corrections.dirty = this.frame !== null;
        this.#state();
      });
    }
    this.#listenToDisplay();
    this.#listenToFiles();
    $("look").addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("beforeunload", (event) => this.corrections.dirty && event.preventDefault());
  }

  #listenToDisplay() {
    for (const name of ["outlines", "masks", "limb", "labels"]) {
      $(`show-${name}`).addEventListener("change", (event) => {
        this.viewer.show[name] = event.target.checked;
        this.viewer.draw();
      });
    }
    for (const radio of document.querySelectorAll('input[name="stretch"]')) {
      radio.addEventListener("change", () => this.frame && this.#resetStretch());
    }
    $("invert").addEventListener("change", (event) => this.frame && this.#setStretch({ ...this.stretch, invert: event.target.checked }));
    for (const end of ["black", "white"]) {
      $(end).addEventListener("change", () => this.frame && $(end).value !== "" && this.#setStretch({ ...this.stretch, [end]: Number($(end).value) }));
      $(`${end}-range`).addEventListener("input", () => {
        if (!this.frame) return;
        const { low, high } = this.#span();
        this.#setStretch({ ...this.stretch, [end]: low + ((high - low) * $(`${end}-range`).value) / 1000 });
      });
    }
    $("strip-flat").addEventListener("change", () => this.frame && this.strip.open(this.frame, $("strip-flat").checked));
  }

  #listenToFiles() {
    for (const button of document.querySelectorAll("[data-get]")) {
      button.addEventListener("click", () => {
        if (!this.frame) return;
        const id = this.frame.frame.frame_id;
        const { stretch, black, white } = this.stretch;
        const asked = new URLSearchParams({ stretch, black, white, longest: 2048 });
        const paths = {
          "mask.fits": [framePath(id, "/mask.fits"), `${id}.fits`], "image.png": [framePath(id, `/image.png?${asked}`), `${id}.png`],
          csv: [`/v1/catalogue?format=csv&limit=5000&frame=${encodeURIComponent(id)}`, `${id}.csv`],
        };
        download(...paths[button.dataset.get]).catch((error) => this.say(error.message, true));
      });
    }
  }

  setScore(score) {
    this.leastScore = score;
    $("score").value = score;
    $("score-now").textContent = score.toFixed(2);
    this.#changed();
  }

  #hint() {
    const { pen } = this.viewer;
    $("draw-hint").hidden = !pen;
    for (const kind of ["plume", "hotspot"]) $(`draw-${kind}`).setAttribute("aria-pressed", pen?.about.kind === kind);
    if (!pen) return;
    const left = Math.max(0, 3 - pen.points.length);
    $("draw-hint").textContent = left
      ? `Click the corners of the ${KINDS[pen.about.kind]}: ${left} more at least. Backspace takes one back, Esc leaves.`
      : "Click the first corner, double-click or press Enter to close the outline.";
  }

  #key(event) {
    if (!this.frame || event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) return;
    const shape = this.shapes.find((one) => one.id === this.viewer.chosen);
    const key = event.key.toLowerCase();
    const toggles = { o: "show-outlines", m: "show-masks", l: "show-limb" };
    if (key === "n") this.#cycle(1);
    else if (key === "p") this.#cycle(-1);
    else if (key in toggles) $(toggles[key]).click();
    else if (key === "a" && shape?.row) this.corrections.decide(shape.row, "accept");
    else if (key === "x" && shape?.row) this.corrections.decide(shape.row, "reject");
    else if (key === "r" && shape) this.redraw(shape);
    else return;
    event.preventDefault();
  }
}

/** A detection in words. */
function describe(shape) {
  const { row } = shape;
  if (!row) return `${shape.id}: drawn by hand.`;
  const parts = [`${row.detection_id}: ${KINDS[row.kind]}, score ${number(row.score, 2)}`];
  if (row.plume_height_km !== null) parts.push(`${withError(row.plume_height_km, row.plume_height_sigma_km)} km high`);
  if (row.spectral_power_gw_um !== null) parts.push(`${withError(row.spectral_power_gw_um, row.spectral_power_sigma_gw_um, 2)} GW/µm`);
  if (row.volcano) parts.push(`${number(row.volcano_distance_km, 0)} km from ${row.volcano}`);
  return `${parts.join(", ")}.`;
}

