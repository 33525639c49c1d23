// Raw DEFLATE (RFC 1951), undone at once: the browser's own DecompressionStream would make every view wait. Pure.

const LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCES = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
const DISTANCE_BITS = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/** The order in which the lengths of code lengths are told. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** A canonical Huffman code: how many codes there are of each length, and their symbols in order. */
class Code {
  readonly counts = new Uint16Array(16);
  readonly symbols: Uint16Array;

  constructor(lengths: ArrayLike<number>) {
    this.symbols = new Uint16Array(lengths.length);
    for (let i = 0; i < lengths.length; i++) this.counts[lengths[i] ?? 0]!++;
    this.counts[0] = 0;
    const at = new Uint16Array(17);
    for (let bits = 1; bits < 16; bits++) at[bits + 1] = at[bits]! + this.counts[bits]!;
    for (let i = 0; i < lengths.length; i++) if (lengths[i]) this.symbols[at[lengths[i]!]!++] = i;
  }
}

const FIXED = new Code(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)));
const FIXED_DISTANCES = new Code(new Array<number>(30).fill(5));

/** The `size` bytes that `packed` stands for. Throws RangeError where it is broken. */
export function inflate(packed: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let [at, from, hold, held] = [0, 0, 0, 0];
  const bits = (n: number): number => {
    while (held < n) {
      if (from >= packed.length) throw new RangeError("the message ends too early");
      hold |= packed[from++]! << held;
      held += 8;
    }
    const value = hold & ((1 << n) - 1);
    hold >>>= n;
    held -= n;
    return value;
  };
  const symbol = ({ counts, symbols }: Code): number => {
    let [code, first, index] = [0, 0, 0];
    for (let length = 1; length < 16; length++) {
      code |= bits(1);
      const count = counts[length]!;
      if (code - count < first) return symbols[index + (code - first)]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new RangeError("the message holds a code that stands for nothing");
  };
  const block = (lengths: Code, distances: Code) => {
    for (let value = symbol(lengths); value !== 256; value = symbol(lengths)) {
      if (value < 256) out[at++] = value;
      else {
        const length = LENGTHS[value - 257]! + bits(LENGTH_BITS[value - 257]!);
        const way = symbol(distances);
        const back = DISTANCES[way]! + bits(DISTANCE_BITS[way]!);
        if (back > at || at + length > size) throw new RangeError("the message points outside itself");
        for (const end = at + length; at < end; at++) out[at] = out[at - back]!;
      }
    }
  };
  const stored = () => {
    hold = held = 0;
    const length = packed[from]! | (packed[from + 1]! << 8);
    out.set(packed.subarray(from + 4, from + 4 + length), at);
    from += 4 + length;
    at += length;
  };
  const dynamic = () => {
    const [n, m, few] = [bits(5) + 257, bits(5) + 1, bits(4) + 4];
    const own = new Uint8Array(19);
    for (let i = 0; i < few; i++) own[ORDER[i]!] = bits(3);
    const [code, lengths] = [new Code(own), new Uint8Array(n + m)];
    for (let i = 0; i < n + m; ) {
      const value = symbol(code);
      if (value < 16) lengths[i++] = value;
      else {
        const again = value === 16 ? 3 + bits(2) : value === 17 ? 3 + bits(3) : 11 + bits(7);
        lengths.fill(value === 16 ? (lengths[i - 1] ?? 0) : 0, i, i + again);
        i += again;
      }
    }
    block(new Code(lengths.subarray(0, n)), new Code(lengths.subarray(n)));
  };
  for (let isLast = 0; !isLast; ) {
    isLast = bits(1);
    const kind = bits(2);
    if (kind === 0) stored();
    else if (kind === 1) block(FIXED, FIXED_DISTANCES);
    else if (kind === 2) dynamic();
    else throw new RangeError("the message is not DEFLATE");
  }
  return out;
}
