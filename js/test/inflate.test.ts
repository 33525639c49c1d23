import { constants, deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { inflate } from "../src/inflate";
import { golden } from "./golden";

const texts = ["", "a", "abcabcabcabcabcabc".repeat(9), JSON.stringify(golden("house")), "ünï\u{1F600}".repeat(4000)];
const noise = new Uint8Array(100_000).map((_, i) => (Math.imul(i ^ 0x9e37, 2654435761) >>> 13) & 255);

describe("what a message holds deflated", () => {
  it.each([[0], [1], [6], [9]])("is given back whole, at level %d", (level) => {
    for (const bytes of [...texts.map((text) => new TextEncoder().encode(text)), noise]) {
      for (const strategy of [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY]) {
        expect(Buffer.from(inflate(deflateRawSync(bytes, { level, strategy }), bytes.length)).equals(Buffer.from(bytes))).toBe(true);
      }
    }
  });

  it("is refused where it is broken, and never read for ever", () => {
    const whole = deflateRawSync(Buffer.from(texts[3] ?? ""));
    expect(() => inflate(whole.subarray(0, 100), 100_000)).toThrow(RangeError);
    expect(() => inflate(new Uint8Array([7]), 10)).toThrow(RangeError);
    expect(() => inflate(whole, 10)).toThrow(RangeError);
  });
});
