// Numbers as a reader wants them: with a unit, an error, and no more digits than they deserve.

/** A number with so many decimals; a dash where it is not known. */
export function number(value, decimals = 1) {
  return value === null || value === undefined ? "–" : value.toFixed(decimals).replace("-", "−");
}

/** A number and its 1-sigma, both with the decimals that the sigma deserves. */
export function withError(value, sigma, decimals = 0) {
  if (value === null || value === undefined) return "–";
  const places = sigma > 0 ? Math.max(0, Math.min(4, 1 - Math.floor(Math.log10(sigma)))) : decimals;
  const shown = Math.min(places, Math.max(decimals, places));
  return sigma === null || sigma === undefined ? number(value, decimals) : `${number(value, shown)} ± ${number(sigma, shown)}`;
}

/** Three significant digits, without an exponent where that can be read. */
export function brief(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(2).replace("-", "−");
  return number(value, size >= 100 ? 1 : size >= 1 ? 2 : 4);
}

/** A time of the archive for reading: no T, no Z, no more than seconds. */
export const time = (text) => (text || "").replace("T", " ").replace(/(\.\d*)?Z?$/, "");

export const KINDS = { plume: "plume", hotspot: "hot spot" };
export const COLOURS = { plume: "#56B4E9", hotspot: "#E69F00" };

/** An element with attributes and children; what is a string is text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "rect", "text", "title", "polyline"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) element.setAttribute(name, `${value}`);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
