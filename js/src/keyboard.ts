// What keys do in a view. The help that lists them is in keys.ts.

/** Positive: onwards, negative: back. */
type By = 1 | -1;

export interface KeyActions {
  toNeighbour(by: By): void;
  alongCauses(by: By): void;
  toEnd(last: boolean): void;
  toFailure(): void;
  toMatch(by: By): void;
  openSearch(): void;
  turnTab(by: By): void;
  toggleHelp(): void;
  toPanel(): void;
  /** Out of the inspector's body, or away from the selection. */
  leave(inBody: boolean): void;
  /** Whether this is the graph or the timeline. */
  isPicture(target: HTMLElement): boolean;
  /** null: to all of it. */
  zoom(factor: number | null, target: HTMLElement): void;
}

export function listenToKeys(root: HTMLElement, actions: KeyActions, signal: AbortSignal): void {
  root.addEventListener("keydown", (event) => take(event, actions), { signal });
  // A ring round the focus is for those who move it by key.
  root.addEventListener("keydown", () => (root.dataset.input = "key"), { signal, capture: true });
  root.addEventListener("pointerdown", () => (root.dataset.input = "pointer"), { signal, capture: true });
}

function take(event: KeyboardEvent, actions: KeyActions): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target.matches("input, textarea, select")) {
    // Jupyter's command mode would act on what is typed.
    event.stopPropagation();
    if (event.key === "Escape") actions.toPanel();
    return;
  }
  if (!act(event.key, target, actions)) return;
  event.preventDefault();
  event.stopPropagation();
}

/** Do what `key` asks for; false when it means nothing here. */
function act(key: string, target: HTMLElement, actions: KeyActions): boolean {
  const inBody = target.closest(".ftnb-body") !== null;
  if (target.closest("[role=tablist]") !== null && /^Arrow|^Home|^End/.test(key)) return false;
  if (inBody && ["ArrowUp", "ArrowDown", "Home", "End", "+", "-", "0"].includes(key)) return false;
  if (key === "ArrowUp" || key === "ArrowDown") actions.toNeighbour(key === "ArrowDown" ? 1 : -1);
  else if (key === "ArrowLeft" || key === "ArrowRight") actions.alongCauses(key === "ArrowRight" ? 1 : -1);
  else if (key === "Home" || key === "End") actions.toEnd(key === "End");
  else if (key === "f") actions.toFailure();
  else if (key === "/") actions.openSearch();
  else if (key === "n" || key === "N") actions.toMatch(key === "n" ? 1 : -1);
  else if (key === "[" || key === "]") actions.turnTab(key === "]" ? 1 : -1);
  else if (key === "?") actions.toggleHelp();
  else if (key === "Escape") actions.leave(inBody);
  else if (key === "Enter" && actions.isPicture(target)) actions.toPanel();
  else if ("+=-0".includes(key)) actions.zoom(key === "0" ? null : key === "-" ? 1 / 1.25 : 1.25, target);
  else return false;
  return true;
}
