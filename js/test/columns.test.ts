import { deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { lowerBound, Marks, numbers, open, unpack } from "../src/columns";
import { Run } from "../src/run";
import { golden } from "./golden";

describe("a long run that came as columns", () => {
  const whole = golden("long");
  const unpacked = unpack(golden("columns"));

  it("has the rows of one that did not", () => {
    expect(unpacked.steps).toEqual(whole.steps);
    expect(unpacked.causes).toEqual(whole.causes);
    expect(unpacked.columns).toBeNull();
  });

  it("has its marks, made when they are asked for", () => {
    whole.timeline.lanes.forEach((lane, index) => {
      const own = unpacked.timeline.lanes[index];
      expect({ ...own, marks: own?.marks.map((mark) => ({ ...mark, ttft_ms: mark.ttft_ms && Math.round(mark.ttft_ms * 100) / 100 })) }).toEqual({
        ...lane, marks: lane.marks.map((mark) => ({ ...mark, ttft_ms: mark.ttft_ms && Math.round(mark.ttft_ms * 100) / 100 })),
      });
    });
  });

  it("is the same run to all who ask", () => {
    const [a, b] = [new Run(whole), new Run(unpacked)];
    expect(b.firstFailing()).toBe(a.firstFailing());
    expect(b.marks.length).toBe(a.marks.length);
    expect(a.order.map((step) => b.describe(step))).toEqual(a.order.map((step) => a.describe(step)));
  });

  it("is unpacked once", () => {
    const { steps } = unpacked;
    expect(unpack(unpacked).steps).toBe(steps);
  });
});

describe("numbers", () => {
  const bytes = new Uint8Array([9, 1, 0, 0, 0, 255, 255, 255, 255]);

  it("are read from buffers that begin anywhere", () => {
    expect([...numbers({ dtype: "u4", data: new DataView(bytes.buffer, 1, 8) })]).toEqual([1, 4294967295]);
    expect([...numbers({ dtype: "i4", data: bytes.slice(1).buffer })]).toEqual([1, -1]);
  });

  it("are read from base64", () => {
    expect([...numbers({ dtype: "u2", data: "AQABAg==" })]).toEqual([1, 513]);
    expect([...numbers({ dtype: "f8", data: "" })]).toEqual([]);
  });
});

it("marks of rows and of columns are read alike", () => {
  const house = golden("house");
  const marks = Marks.of(house);
  house.timeline.lanes.forEach((lane, index) => expect(marks.ofLane(index)).toEqual(lane.marks));
});

it("finds the first that is not smaller", () => {
  const values = [1, 3, 3, 7];
  expect([0, 1, 2, 3, 4, 8].map((value) => lowerBound(values, value))).toEqual([0, 0, 1, 1, 3, 4]);
  expect(lowerBound(values, 3, 2, 4)).toBe(2);
});

describe("a message of the kernel", () => {
  it("gives back what it holds as bytes, once, and leaves others alone", () => {
    const whole = golden("house");
    const { v, engagement, seq, marks, columns, ...rest } = whole;
    const bytes = new TextEncoder().encode(JSON.stringify(rest));
    const packed = new Uint8Array(deflateRawSync(bytes));
    const message = { v, engagement, seq, marks, columns, rest: new DataView(packed.buffer), n_rest: bytes.length } as never;
    expect(open(open(message))).toEqual(whole);
    expect(open(structuredClone(whole))).toEqual(whole);
  });
});
