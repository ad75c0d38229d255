// The service, asked from the page: with its token where it needs one, its problems as errors.

const KEY = "io-detector-token";

/** What the service refuses, in its own words. */
export class Refusal extends Error {
  constructor(status, document) {
    super(document.detail || `the service answered ${status}`);
    this.status = status;
    this.reasons = document.reasons || [];
  }
}

let asking = null;

/** Ask for the token once, however many requests wait for it. */
function askToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("ask-token");
    const field = document.getElementById("token");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEY, field.value);
      field.value = "";
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

/** The request's headers with the token, where there is one. */
export function headers(more = {}) {
  const token = sessionStorage.getItem(KEY);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function problemOf(response) {
  try { return await response.json(); } catch { return {}; }
}

/** Ask, and ask again with the token when it is wanted, or after a while when the service is busy. */
export async function ask(path, options = {}, tries = 4) {
  const response = await fetch(path, { ...options, headers: headers(options.headers) });
  if (response.status === 401) {
    await askToken();
    return ask(path, options, tries);
  }
  if (response.status === 503 && tries > 1 && (options.method ?? "GET") === "GET") {
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After") || 1)));
    return ask(path, options, tries - 1);
  }
  if (!response.ok) throw new Refusal(response.status, await problemOf(response));
  return response;
}

/** The answer as JSON. */
export async function json(path, options) {
  return (await ask(path, options)).json();
}

/** The path of a frame, or of what belongs to it. */
export const framePath = (id, part = "") => `/v1/frames/${encodeURIComponent(id)}${part}`;

/** Save an answer as a file. */
export async function download(path, name) {
  const blob = await (await ask(path)).blob();
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Send files; `progress` is told the share that is sent. Gives the answer's status and document. */
export function upload(files, progress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/detect");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.loaded / Math.max(event.total, 1)));
    request.addEventListener("error", () => reject(new Error("the service cannot be reached")));
    request.addEventListener("load", async () => {
      if (request.status === 401) {
        await askToken();
        upload(files, progress).then(resolve, reject);
        return;
      }
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* not one of the service's own answers */ }
      if (request.status >= 400) reject(new Refusal(request.status, body));
      else resolve({ status: request.status, body });
    });
    request.send(form);
  });
}
