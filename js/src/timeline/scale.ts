// Time to pixels. Long idle stretches are drawn short, so the scale is piecewise linear. Pure.

import { tickStep } from "../format";

/** A stretch of time: `from`…`to` in ms is drawn at `start`…`end` in units of busy milliseconds. */
interface Piece {
  from: number;
  to: number;
  start: number;
  end: number;
  idle: boolean;
}

export interface Tick {
  /** Pixels from the left. */
  at: number;
  /** Since the start, or since the end of the idle stretch before it. */
  ms: number;
  step: number;
  /** Whether `ms` counts from the end of an idle stretch. */
  later: boolean;
}

/** Share of the busy time that an idle stretch takes on the screen, and all of them together at most. */
const IDLE_SHARE = 0.07;
const IDLE_SHARE_OF_ALL = 0.4;
/** How far one can zoom in: this part of the whole fills the screen. */
const CLOSEST = 1 / 2_000_000;

export class TimeScale {
  readonly pieces: Piece[];
  readonly length: number;

  /** `idle` are disjoint stretches in ascending order, drawn short. */
  constructor(readonly from: number, readonly to: number, idle: ReadonlyArray<readonly number[]>) {
    const within = idle
      .map(([a = 0, b = 0]) => [Math.max(a, from), Math.min(b, to)] as const)
      .filter(([a, b]) => b > a);
    const busy = Math.max(to - from - within.reduce((sum, [a, b]) => sum + b - a, 0), 1);
    const share = Math.min(IDLE_SHARE, IDLE_SHARE_OF_ALL / Math.max(within.length, 1));
    this.pieces = [];
    let [time, unit] = [from, 0];
    const push = (until: number, size: number, isIdle: boolean) => {
      if (until <= time) return;
      this.pieces.push({ from: time, to: until, start: unit, end: unit + size, idle: isIdle });
      time = until;
      unit += size;
    };
    for (const [a, b] of within) {
      push(a, a - time, false);
      push(b, busy * share, true);
    }
    push(to, to - time, false);
    if (!this.pieces.length) this.pieces.push({ from, to: from + 1, start: 0, end: 1, idle: false });
    this.length = this.pieces.at(-1)?.end ?? 1;
  }

  /** Milliseconds to units; beyond the ends the last piece goes on. */
  unit(ms: number): number {
    const piece = this.piece((p) => ms < p.to);
    return piece.start + ((ms - piece.from) / (piece.to - piece.from)) * (piece.end - piece.start);
  }

  /** Units to milliseconds. */
  ms(unit: number): number {
    const piece = this.piece((p) => unit < p.end);
    return piece.from + ((unit - piece.start) / (piece.end - piece.start)) * (piece.to - piece.from);
  }

  /** The first piece for which `isBefore`, or the last. */
  private piece(isBefore: (piece: Piece) => boolean): Piece {
    let [low, high] = [0, this.pieces.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(this.pieces[middle] as Piece)) high = middle;
      else low = middle + 1;
    }
    return this.pieces[low] as Piece;
  }
}

/** The part of a scale that is on the screen, `left`…`right` in units, `width` pixels wide. */
export class Window {
  constructor(readonly scale: TimeScale, readonly width: number, public left = 0, public right = scale.length) {}

  /** The same stretch of time on another scale or width. */
  onto(scale: TimeScale, width: number): Window {
    if (this.isWhole) return new Window(scale, width);
    const next = new Window(scale, width);
    next.show(this.scale.ms(this.left), this.scale.ms(this.right));
    return next;
  }

  x(ms: number): number {
    return ((this.scale.unit(ms) - this.left) / (this.right - this.left)) * this.width;
  }

  ms(x: number): number {
    return this.scale.ms(this.left + (x / this.width) * (this.right - this.left));
  }

  get isWhole(): boolean {
    return this.left <= 0 && this.right >= this.scale.length;
  }

  /** Zoom by `factor` (over 1: closer) about the pixel `x`. */
  zoom(factor: number, x: number): void {
    const span = this.limit((this.right - this.left) / factor);
    const fixed = this.left + (x / this.width) * (this.right - this.left);
    this.set(fixed - (x / this.width) * span, span);
  }

  pan(pixels: number): void {
    const span = this.right - this.left;
    this.set(this.left + (pixels / this.width) * span, span);
  }

  /** Show `from`…`to` in ms. */
  show(from: number, to: number): void {
    const [a, b] = [this.scale.unit(Math.min(from, to)), this.scale.unit(Math.max(from, to))];
    const span = this.limit(b - a);
    this.set((a + b) / 2 - span / 2, span);
  }

  /** Show `left`…`right` in units. */
  showUnits(left: number, right: number): void {
    const span = this.limit(right - left);
    this.set(left, span);
  }

  /** Move as little as it takes for `ms` to be in sight. */
  reveal(ms: number): void {
    const [unit, span] = [this.scale.unit(ms), this.right - this.left];
    const margin = span * 0.08;
    if (unit < this.left) this.set(unit - margin, span);
    else if (unit > this.right) this.set(unit + margin - span, span);
  }

  private limit(span: number): number {
    return Math.min(Math.max(span, this.scale.length * CLOSEST), this.scale.length);
  }

  private set(left: number, span: number): void {
    this.left = Math.min(Math.max(left, 0), this.scale.length - span);
    this.right = this.left + span;
  }

  /** The time at the left edge of each pixel column and, last, at the right edge of all. */
  columns(): Float64Array {
    const edges = new Float64Array(Math.ceil(this.width) + 1);
    for (let x = 0; x < edges.length; x++) edges[x] = this.ms(x);
    return edges;
  }

  /** Ticks about `every` pixels apart; none inside idle stretches. */
  ticks(every: number): Tick[] {
    const step = tickStep(((this.right - this.left) / this.width) * every);
    const ticks: Tick[] = [];
    for (const piece of this.scale.pieces) {
      if (piece.idle || piece.end < this.left || piece.start > this.right) continue;
      const from = Math.max(piece.from, this.scale.ms(this.left));
      const to = Math.min(piece.to, this.scale.ms(this.right));
      const later = piece !== this.scale.pieces[0];
      const zero = later ? piece.from : 0;
      for (let n = Math.ceil((from - zero) / step); zero + n * step <= to && ticks.length < 200; n++) {
        const at = this.x(zero + n * step);
        if (at >= 0 && at <= this.width && at - (ticks.at(-1)?.at ?? -Infinity) > every * 0.6) {
          ticks.push({ at, ms: n * step, step, later });
        }
      }
    }
    return ticks;
  }
}
