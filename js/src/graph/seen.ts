// When a place has been painted, is in sight, and the page has nothing better to do.

/** Milliseconds after which a busy page must do it all the same. */
const PATIENCE_MS = 1_000;

/** Call `act` once, when `element` is in sight, after what came with it was painted. */
export function whenSeen(element: Element, act: () => void, signal: AbortSignal): void {
  const idle = () => {
    if (signal.aborted) return;
    if ("requestIdleCallback" in globalThis) requestIdleCallback(act, { timeout: PATIENCE_MS });
    else setTimeout(act, 60);
  };
  const watch = new IntersectionObserver((entries) => {
    if (!entries.at(-1)?.isIntersecting) return;
    watch.disconnect();
    // The second frame begins when the first has been painted.
    requestAnimationFrame(() => requestAnimationFrame(idle));
  });
  watch.observe(element);
  signal.addEventListener("abort", () => watch.disconnect(), { once: true });
}
