// Frames in: files dropped or picked, what became of them, and the list of all frames.

import { json, upload } from "./api.js";
import { make, time } from "./format.js";

const PAGE = 100, EVERY_MS = 1500;
const $ = (id) => document.getElementById(id);

export class Intake {
  constructor(say, open) {
    this.say = say;
    this.open = open;
    this.shown = PAGE;
    $("pick").addEventListener("change", () => { this.send([...$("pick").files]); $("pick").value = ""; });
    $("more-frames").addEventListener("click", () => { this.shown += PAGE; this.list(); });
    this.#listenToDrops();
  }

  #listenToDrops() {
    let depth = 0;
    const over = (by) => { depth = Math.max(0, depth + by); document.body.classList.toggle("over", depth > 0); };
    addEventListener("dragenter", (event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); over(1); } });
    addEventListener("dragleave", () => over(-1));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      over(0);
      if (event.dataTransfer?.files.length) this.send([...event.dataTransfer.files]);
    });
  }

  /** Send files and follow their job; the first frame found in them is opened. */
  async send(files) {
    if (!files.length) return;
    const name = files.length === 1 ? files[0].name : `${files[0].name} and ${files.length - 1} more`;
    const bar = make("progress", { max: 1, value: 0, "aria-label": `Sending ${name}` });
    const line = make("span", {}, `Sending ${name} …`);
    const entry = make("li", {}, line, bar);
    $("uploads").prepend(entry);
    try {
      const sent = await upload(files, (share) => {
        bar.value = share;
        if (share >= 1) { line.textContent = `Detecting in ${name} …`; bar.removeAttribute("value"); }
      });
      const job = sent.status === 202 ? await this.#follow(sent.body, line) : sent.body.job;
      this.#done(job, entry);
    } catch (error) {
      entry.className = "bad";
      entry.replaceChildren(`${name}: ${error.message}`);
      this.say(error.message, true);
    }
  }

  async #follow(job, line) {
    let known = job;
    while (known.state === "queued" || known.state === "running") {
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      known = await json(`/v1/jobs/${known.id}`);
      const done = known.products.filter((one) => one.state !== "queued").length;
      line.textContent = `${known.state === "queued" ? "Waiting" : "Detecting"}: ${done} of ${known.products.length} products …`;
    }
    if (known.state !== "done") throw new Error(known.reason);
    return known;
  }

  #done(job, entry) {
    const frames = job.products.flatMap((one) => one.frames);
    const refused = job.products.filter((one) => one.reason);
    if (refused.length) {
      entry.className = "bad";
      entry.replaceChildren(...refused.map((one) => make("div", {}, `${one.name}: ${one.reason}`)));
    } else entry.remove();
    this.list();
    if (frames.length) this.open(frames[0]);
  }

  /** Show the frames again. */
  async list() {
    const { frames, total } = await json(`/v1/frames?limit=${this.shown}`);
    $("frames").replaceChildren(...frames.map((one) => this.#entry(one)));
    $("more-frames").hidden = total <= frames.length;
    this.mark();
    return frames;
  }

  #entry(one) {
    const found = (count, kind) => (count === null ? null
      : make("span", {}, make("span", { class: `dot ${kind}` }), `${count}`, make("span", { class: "hidden" }, kind === "plume" ? " plumes" : " hot spots")));
    const band = [one.instrument, one.filter].filter(Boolean).join(" ");
    return make("li", {}, make("a", { href: `#/frame/${encodeURIComponent(one.frame_id)}`, "data-frame": one.frame_id },
      make("strong", {}, one.frame_id), make("span", { class: "soft" }, [band, time(one.start_time_utc).slice(0, 16)].filter(Boolean).join("  ·  ")),
      make("span", { class: "counts" }, found(one.plumes, "plume"), found(one.hotspots, "hotspot"),
        one.status === "ok" ? null : make("span", {}, one.status), one.corrected ? make("span", {}, "✎ corrected") : null)));
  }

  /** Mark the frame that is open. */
  mark(id = this.current) {
    this.current = id;
    for (const link of $("frames").querySelectorAll("a")) {
      if (link.dataset.frame === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}
