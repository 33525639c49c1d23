// When a place has been painted, is in sight, and the page is at rest: no view comes, nothing moves, nobody touches it.

/** Milliseconds for which nothing of this has been, before the page counts as at rest. */
const REST_MS = 500;

const waiting = new Set<() => void>();
let touched = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Call `act` once, when `element` is in sight, what came with it was painted, and the page is at rest. One at a time. */
export function whenSeen(element: Element, act: () => void, signal: AbortSignal): void {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.at(-1)?.isIntersecting) return;
    watch.disconnect();
    add(act);
  });
  watch.observe(element);
  touch();
  const leave = () => {
    watch.disconnect();
    waiting.delete(act);
  };
  signal.addEventListener("abort", leave, { once: true });
}

function add(act: () => void): void {
  if (waiting.size === 0) for (const kind of KINDS) addEventListener(kind, touch, PASSIVE);
  waiting.add(act);
  touch();
  timer ??= setTimeout(look, REST_MS);
}

const KINDS = ["pointermove", "pointerdown", "wheel", "keydown", "scroll"];
const PASSIVE = { capture: true, passive: true };

/** Something on the page moves just now. */
export function touch(): void {
  touched = performance.now();
}

function look(): void {
  timer = undefined;
  const left = touched + REST_MS - performance.now();
  if (left > 0) timer = setTimeout(look, left);
  else if ("requestIdleCallback" in globalThis) requestIdleCallback(next);
  else next();
}

function next(): void {
  const [act] = waiting;
  if (act) {
    waiting.delete(act);
    act();
  }
  if (waiting.size > 0) timer ??= setTimeout(look, 0);
  else for (const kind of KINDS) removeEventListener(kind, touch, PASSIVE);
}
