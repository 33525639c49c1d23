// A small chart of how much happened lately: bars on a line, in the colour of the text. Pure but for the building of DOM.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [90, 18];

/** Heights of the bars for `counts`, 0 … 1; the tallest is 1. */
export function heights(counts: readonly number[]): number[] {
  const most = Math.max(...counts, 1);
  // By the root: one burst must not press all else to nothing.
  return counts.map((n) => (n > 0 ? Math.max(Math.sqrt(n / most), 0.12) : 0));
}

export function sparkline(counts: readonly number[]): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "ftnb-spark");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${counts.reduce((sum, n) => sum + n, 0)} records in the last minute`);
  const bar = WIDTH / Math.max(counts.length, 1);
  const path = heights(counts).map((tall, i) => (tall ? `M${(i * bar + 0.5).toFixed(1)} ${HEIGHT - 1}v${(-tall * (HEIGHT - 3)).toFixed(1)}h${(bar - 1).toFixed(1)}V${HEIGHT - 1}z` : "")).join("");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", `${path}M0 ${HEIGHT - 0.5}h${WIDTH}v0.5h-${WIDTH}z`);
  shape.setAttribute("fill", "currentColor");
  svg.append(shape);
  return svg;
}
