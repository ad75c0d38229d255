// What the reviewer says to a frame's detections, until it is saved.

/** The corrections of one frame; every change is told to `changed`. */
export class Corrections {
  constructor(changed) {
    this.changed = changed;
    this.open({ detections: [], outlines: [] }, { objects: [], revision: 0, reviewer: "", note: "" });
  }

  /** Begin with a frame and what was saved for it. */
  open(frame, saved) {
    this.frame = frame;
    this.revision = saved.revision;
    this.saved = saved.saved;
    this.reviewer = saved.reviewer;
    this.note = saved.note;
    this.objects = new Map(saved.objects.map((one) => [one.object_id, one]));
    this.past = [];
    this.dirty = false;
  }

  #keep() {
    this.past.push(new Map(this.objects));
    this.dirty = true;
  }

  /** What was said of a detection; undefined where nothing was. */
  of(detectionId) {
    return [...this.objects.values()].find((one) => one.detection_id === detectionId);
  }

  /** Accept or reject a detection; saying the same again takes it back. */
  decide(row, decision) {
    const known = this.of(row.detection_id);
    this.#keep();
    if (known) this.objects.delete(known.object_id);
    if (known?.decision !== decision) {
      this.#put({ object_id: row.detection_id, kind: row.kind, decision, detection_id: row.detection_id, polygons: [] });
    }
    this.changed();
  }

  /** Give other pixels to a detection, or draw what was not found. */
  redraw({ kind, detectionId = "", objectId = "" }, polygons) {
    const known = detectionId ? this.of(detectionId) : this.objects.get(objectId);
    this.#keep();
    if (known) this.objects.delete(known.object_id);
    const name = known?.object_id ?? (detectionId || this.#newName(kind));
    this.#put({ object_id: name, kind, decision: "redraw", detection_id: detectionId, polygons });
    this.changed();
    return name;
  }

  /** Take back what was said of an object. */
  remove(objectId) {
    this.#keep();
    this.objects.delete(objectId);
    this.changed();
  }

  undo() {
    const before = this.past.pop();
    if (!before) return;
    this.objects = before;
    this.dirty = true;
    this.changed();
  }

  #put(one) {
    this.objects.set(one.object_id, one);
  }

  #newName(kind) {
    let number = 1;
    while (this.objects.has(`new-${kind[0]}${String(number).padStart(2, "0")}`)) number += 1;
    return `new-${kind[0]}${String(number).padStart(2, "0")}`;
  }

  /** As the service takes it. */
  document() {
    return { reviewer: this.reviewer, note: this.note, objects: [...this.objects.values()] };
  }

  /** What is to be shown: detections with what was said of them, and what was drawn anew. */
  shapes(leastScore) {
    const found = this.frame.detections.map((row, n) => {
      const said = this.of(row.detection_id);
      return {
        id: row.detection_id, kind: said?.kind ?? row.kind, score: row.score, row, state: said?.decision ?? "",
        polygons: said?.decision === "redraw" ? said.polygons : this.frame.outlines[n].geometry.coordinates,
        visible: row.score >= leastScore || Boolean(said),
      };
    });
    const drawn = [...this.objects.values()].filter((one) => !one.detection_id).map((one) => ({
      id: one.object_id, kind: one.kind, score: 1, row: null, state: "redraw", polygons: one.polygons, visible: true,
    }));
    return [...found, ...drawn];
  }
}
