// A binary heap. Pure. Cytoscape's caches use it too: build.mjs gives it to them.

export class Heap<T> {
  private readonly items: T[] = [];

  /** `compare` below 0: its first argument comes out first. */
  constructor(private readonly compare: (a: T, b: T) => number) {}

  size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  push(item: T): void {
    this.items.push(item);
    this.rise(this.items.length - 1);
  }

  pop(): T | undefined {
    const [first] = this.items;
    const last = this.items.pop();
    if (this.items.length && last !== undefined) {
      this.items[0] = last;
      this.sink(0);
    }
    return first;
  }

  /** The order of `item` may have changed. */
  updateItem(item: T): void {
    const at = this.items.indexOf(item);
    if (at < 0) return;
    this.rise(at);
    this.sink(this.items.indexOf(item));
  }

  private rise(at: number): void {
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.comesFirst(at, parent)) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  private sink(at: number): void {
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.items.length && this.comesFirst(child, least)) least = child;
      }
      if (least === at) return;
      this.swap(at, least);
      at = least;
    }
  }

  private comesFirst(a: number, b: number): boolean {
    return this.compare(this.items[a] as T, this.items[b] as T) < 0;
  }

  private swap(a: number, b: number): void {
    [this.items[a], this.items[b]] = [this.items[b] as T, this.items[a] as T];
  }
}

export default Heap;
