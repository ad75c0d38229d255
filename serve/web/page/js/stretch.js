// From numbers to greys, in the page: the same three stretches as the service's image.png.

const SOFTENING = 0.06;
const HEADROOM = 1.15;
const UNSEEN = [33, 43, 61];

/** Black and white of a stretch where none are chosen, from the frame's levels. */
export function rangeOf(stretch, levels) {
  const { sky, sigma, bright, least, most, percentiles } = levels;
  const low = sky - sigma;
  let pair = [least ?? 0, most ?? 1];
  if (stretch === "asinh") pair = [low, Math.max(low + HEADROOM * bright, percentiles[10])];
  if (stretch === "percentile") pair = [percentiles[1], percentiles[9]];
  return pair[1] > pair[0] ? pair : [pair[0], pair[0] + 1];
}

/** Share of white below which the asinh stretch is linear: above the noise, so that the sky stays dark. */
export function softeningOf(levels, black, white) {
  return Math.max(SOFTENING, Math.min((3 * levels.sigma) / (white - black), 0.5));
}

/** 0..1 of a value between black and white. */
export function shareOf(value, view) {
  const share = Math.min(1, Math.max(0, (value - view.black) / (view.white - view.black)));
  const bent = view.stretch === "asinh" ? Math.asinh(share / view.softening) / Math.asinh(1 / view.softening) : share;
  return view.invert ? 1 - bent : bent;
}

/** Fill RGBA bytes from numbers; NaN is a dark blue. */
export function paint(numbers, bytes, view) {
  const table = new Uint8ClampedArray(1025);
  const step = (view.white - view.black) / 1024;
  for (let n = 0; n <= 1024; n++) table[n] = 255 * shareOf(view.black + n * step, view);
  const scale = 1024 / (view.white - view.black);
  for (let n = 0, at = 0; n < numbers.length; n++, at += 4) {
    const value = numbers[n];
    if (value !== value) {
      [bytes[at], bytes[at + 1], bytes[at + 2]] = UNSEEN;
    } else {
      const grey = table[Math.min(1024, Math.max(0, Math.round((value - view.black) * scale)))];
      bytes[at] = bytes[at + 1] = bytes[at + 2] = grey;
    }
    bytes[at + 3] = 255;
  }
}
