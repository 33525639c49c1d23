// Numbers for humans. Pure.

const UNITS: ReadonlyArray<readonly [number, string]> = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
  [1, "ms"],
];

/** "0.4 ms", "320 ms", "1.24 s", "2 min 5 s", "1 h 3 min"; `ms` may be negative. */
export function duration(ms: number): string {
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms === 0) return "0 ms";
  if (ms < 10) return `${trim(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${trim((ms / 1000).toFixed(ms < 9_995 ? 2 : 1))} s`;
  if (ms < 60_000) return "1 min";
  const at = Math.max(UNITS.findIndex(([size]) => ms >= size), 0);
  const [size, unit] = UNITS[at] ?? [1, "ms"];
  const [nextSize, nextUnit] = UNITS[at + 1] ?? [1, "ms"];
  const whole = Math.floor(Math.round(ms / nextSize) / (size / nextSize));
  const rest = Math.round(ms / nextSize) - whole * (size / nextSize);
  return rest ? `${whole} ${unit} ${rest} ${nextUnit}` : `${whole} ${unit}`;
}

/** A time on an axis whose ticks are `step` ms apart: as short as tells neighbours apart. */
export function tick(ms: number, step: number): string {
  if (ms === 0) return "0";
  if (Math.abs(ms) < 1_000) return `${trim(ms.toFixed(step < 1 ? 2 : 0))} ms`;
  if (Math.abs(ms) < 60_000) {
    const digits = step >= 1_000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
    return `${(ms / 1000).toFixed(digits)} s`;
  }
  return step >= 1_000 ? duration(ms) : `${(ms / 1000).toFixed(3)} s`;
}

/** Distances between ticks that people read easily. */
const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 1.2e5, 3e5, 6e5, 9e5, 1.8e6, 3.6e6, 7.2e6,
  1.08e7, 2.16e7, 4.32e7, 8.64e7,
];

/** The smallest readable tick distance that is at least `ms`. */
export function tickStep(ms: number): number {
  if (ms < 1) return ms <= 0.1 ? 0.1 : ms <= 0.2 ? 0.2 : ms <= 0.5 ? 0.5 : 1;
  return STEPS.find((step) => step >= ms) ?? Math.ceil(ms / 8.64e7) * 8.64e7;
}

// Made once: toLocaleString makes one a call, and a graph of thousands asks for thousands a frame.
const NUMBERS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** "1,234" */
export function count(n: number): string {
  return NUMBERS.format(Math.round(n));
}

/** "one step", "3 steps" */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** "812 B", "4.1 kB", "2.3 MB" */
export function bytes(n: number): string {
  if (n < 1_000) return `${n} B`;
  return n < 1_000_000 ? `${trim((n / 1_000).toFixed(1))} kB` : `${trim((n / 1_000_000).toFixed(1))} MB`;
}

function trim(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
