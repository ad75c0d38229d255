// The page as a whole: which room is shown, who says what, and the keys that work everywhere.

import { json } from "./api.js";
import { FrameRoom } from "./frame.js";
import { Intake } from "./intake.js";
import { MapRoom } from "./map.js";
import { SeriesRoom } from "./series.js";
import { make } from "./format.js";

const $ = (id) => document.getElementById(id);
let thresholds = { plume: { seed: 0.5 }, hotspot: { seed: 0.5 } };

/** Show a line, and let it be spoken. */
function say(text, bad = false) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", bad);
}

const go = (frame, detection = "") => {
  const hash = `#/frame/${encodeURIComponent(frame)}${detection ? `/${encodeURIComponent(detection)}` : ""}`;
  if (location.hash === hash) route(); else location.hash = hash;
};

const rooms = {
  frame: new FrameRoom(say, () => Math.min(thresholds.plume.seed, thresholds.hotspot.seed)),
  map: new MapRoom(say, go),
  series: new SeriesRoom(say, go),
};
const intake = new Intake(say, go);

/** Show what the address says. */
async function route() {
  const [name = "", first = "", second = ""] = location.hash.slice(2).split("/").map(decodeURIComponent);
  const room = name in rooms ? name : "frame";
  for (const other of Object.keys(rooms)) $(`room-${other}`).hidden = other !== room;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.room === room) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  try {
    if (room === "map") await rooms.map.show();
    else if (room === "series") await rooms.series.show(first);
    else if (first) await openFrame(first, second);
  } catch (error) {
    say(error.message, true);
  }
}

async function openFrame(id, detection) {
  intake.mark(id);
  document.querySelector('nav a[data-room="frame"]').href = `#/frame/${encodeURIComponent(id)}`;
  await rooms.frame.open(id, detection || null);
}

async function begin() {
  addEventListener("hashchange", route);
  $("help-open").addEventListener("click", () => $("help").showModal());
  document.addEventListener("corrected", () => intake.list());
  document.addEventListener("keydown", keys);
  try {
    const frames = await intake.list();
    if (!location.hash.slice(2) && frames.length) location.replace(`#/frame/${encodeURIComponent(frames[0].frame_id)}`);
    else await route();
    describe(await json("/readyz"));
  } catch (error) {
    say(error.message, true);
  }
}

function describe(ready) {
  thresholds = ready.thresholds.confident ?? thresholds;
  $("model").textContent = `${ready.model}, ${ready.operating_point}`;
  const marks = Object.values(ready.thresholds).flatMap((kinds) => Object.values(kinds).map((limit) => limit.seed.toFixed(2)));
  $("score-marks").replaceChildren(...[...new Set(marks)].map((value) => make("option", { value })));
}

function keys(event) {
  const typing = /INPUT|TEXTAREA|SELECT/.test(event.target.tagName);
  if (event.key === "?" && !typing && !$("help").open) {
    event.preventDefault();
    $("help").showModal();
  }
  if ((event.ctrlKey || event.metaKey) && event.key === "s") {
    event.preventDefault();
    rooms.frame.save();
  }
}

begin();
