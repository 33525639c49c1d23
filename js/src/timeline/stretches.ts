// Times in which nothing ran. Pure.

import type { Stretch } from "./draw";
import type { Track } from "./rows";

/** Where nothing ran: in none of the runs, when there are several. Pure. */
export function stretchesOf(tracks: readonly Track[]): Stretch[] {
  const [first, second] = tracks.map(({ run }) => run.payload.timeline);
  if (!first) return [];
  const idle = second ? overlap(first.idle, second.idle) : first.idle;
  const waits = second ? overlap(first.waits, second.waits) : first.waits;
  const stretches = (waits ?? []).map(([from = 0, to = 0]) => ({
    from, to, human: true, short: idle.some(([a = 0, b = 0]) => a < to && b > from),
  }));
  for (const [from = 0, to = 0] of idle) {
    if (!stretches.some((one) => one.from < to && one.to > from)) stretches.push({ from, to, human: false, short: true });
  }
  return stretches.sort((a, b) => a.from - b.from);
}

function overlap(a: readonly number[][], b: readonly number[][]): number[][] {
  return a.flatMap(([from = 0, to = 0]) =>
    b.map(([x = 0, y = 0]) => [Math.max(from, x), Math.min(to, y)]).filter(([x = 0, y = 0]) => y > x),
  );
}
