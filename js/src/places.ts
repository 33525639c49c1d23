// Places that the output of a cell keeps for a view. Such an output is HTML with the picture of the run in it: what is
// saved with the notebook, and all that a page without the kernel shows. Where the kernel is, the view is drawn there in
// the picture's stead.

const TAG = "ftnb-view";
/** A place that left the page may come back: cells are moved, and notebooks take off what is scrolled out of sight. */
const LOST_AFTER_MS = 20_000;

/** Draws into `el` until it is called; `el` may move in the page. */
export type Draw = (el: HTMLElement) => () => void;

interface Offer {
  fill(place: HTMLElement): void;
  leave(place: HTMLElement): void;
}

/** What all bundles in a page share: kernels of other versions may have brought theirs, and elements are defined once. */
interface Shared {
  readonly offers: Map<string, Offer>;
  readonly places: Set<HTMLElement>;
}

function shared(): Shared {
  const all = globalThis as unknown as Record<symbol, Shared | undefined>;
  return (all[Symbol.for("ftnb.places")] ??= { offers: new Map(), places: new Set() });
}

/**
 * Draw into every place of `key`, now and later, until the end of `signal`; then the places show their pictures again.
 * Styles of the page reach what is drawn only where it `isOpen`.
 */
export function offer(key: string, draw: Draw, signal: AbortSignal, isOpen = false): void {
  define();
  const { offers, places } = shared();
  const made = new Drawn(draw, isOpen);
  offers.set(key, made);
  for (const place of places) if (place.dataset.key === key) made.fill(place);
  signal.addEventListener("abort", () => {
    if (offers.get(key) === made) offers.delete(key);
    made.end();
  }, { once: true });
}

function define(): void {
  if (customElements.get(TAG)) return;
  customElements.define(TAG, class extends HTMLElement {
    connectedCallback(): void {
      const { offers, places } = shared();
      places.add(this);
      offers.get(this.dataset.key ?? "")?.fill(this);
    }

    disconnectedCallback(): void {
      const { offers, places } = shared();
      places.delete(this);
      offers.get(this.dataset.key ?? "")?.leave(this);
    }
  });
}

interface Held {
  readonly el: HTMLElement;
  readonly stop: () => void;
  lost: ReturnType<typeof setTimeout> | undefined;
}

/** The views of one offer, by their places. */
class Drawn implements Offer {
  private readonly held = new Map<HTMLElement, Held>();

  constructor(private readonly draw: Draw, private readonly isOpen: boolean) {}

  fill(place: HTMLElement): void {
    const known = this.held.get(place);
    if (known) return clearTimeout(known.lost);
    // A picture that was brought up to date is another element: the view in the old one moves, as it is.
    const left = [...this.held].find(([one]) => !one.isConnected);
    if (left) {
      const [old, held] = left;
      clearTimeout(held.lost);
      this.held.delete(old);
      this.held.set(place, { ...held, lost: undefined });
      this.put(held.el, place);
      return;
    }
    const el = document.createElement("div");
    this.put(el, place);
    try {
      this.held.set(place, { el, stop: this.draw(el), lost: undefined });
    } catch (error) {
      showPicture(place);
      console.error(error);
    }
  }

  /** The picture, a child of the place, then has no slot: it is neither seen nor read out. */
  private put(el: HTMLElement, place: HTMLElement): void {
    const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
    if (!this.isOpen) return root.replaceChildren(el);
    const slot = document.createElement("slot");
    slot.name = el.slot = "live";
    place.append(el);
    root.replaceChildren(slot);
  }

  leave(place: HTMLElement): void {
    const held = this.held.get(place);
    if (held) held.lost = setTimeout(() => this.drop(place), LOST_AFTER_MS);
  }

  end(): void {
    for (const place of [...this.held.keys()]) this.drop(place);
  }

  private drop(place: HTMLElement): void {
    const held = this.held.get(place);
    this.held.delete(place);
    clearTimeout(held?.lost);
    held?.stop();
    held?.el.remove();
    showPicture(place);
  }
}

function showPicture(place: HTMLElement): void {
  place.shadowRoot?.replaceChildren(document.createElement("slot"));
}
