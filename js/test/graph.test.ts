import cytoscape from "cytoscape";
import { describe, expect, it } from "vitest";
import { edgeId, indexOf, nodeId, toElements } from "../src/graph/elements";
import { bendsOf, chooseLayout } from "../src/graph/layout";
import { graphStyle } from "../src/graph/style";
import { type GraphState, metricsOf } from "../src/graph/metrics";
import { sceneOfRun } from "../src/graph/runscene";
import { momentAt } from "../src/playback";
import type { EngagementPayload } from "../src/protocol.gen";
import { Run } from "../src/run";
import type { Theme } from "../src/theme";
import { golden } from "./golden";

const PLAIN: Pick<GraphState, "color" | "size"> = { color: null, size: null };
const elements = (payload: EngagementPayload, state = PLAIN, ms: number | null = null, direction: "across" | "down" = "across") => {
  const run = new Run(payload);
  return toElements(sceneOfRun(run, state, ms === null ? null : momentAt(run, ms)), payload.layout[direction]);
};
const draw = (payload: EngagementPayload, state = PLAIN, ms: number | null = null) =>
  cytoscape({ headless: true, styleEnabled: true, elements: elements(payload, state, ms), layout: { name: "preset" } });

describe.each(["house", "failed", "paused", "running", "nested", "hostile", "empty", "long"])("%s", (name) => {
  const payload = golden(name);
  const cy = draw(payload);

  it("has every node and edge once, under ids of ours", () => {
    expect(cy.nodes().length).toBe(payload.nodes.length);
    expect(cy.edges().length).toBe(payload.edges.length);
    payload.nodes.forEach((node, index) => {
      const element = cy.getElementById(nodeId(index));
      expect(element.data("label")).toContain(node.label);
      expect(indexOf(element.id())).toBe(index);
    });
  });

  it("stands where the layout says", () => {
    payload.nodes.forEach((node, index) => {
      if (payload.nodes.some((other) => other.parent === index)) return;
      const [x, y] = payload.layout.across.nodes[index] ?? [];
      expect(cy.getElementById(nodeId(index)).position(), node.name).toEqual({ x, y });
    });
  });
});

describe("what was done", () => {
  it("is told apart from what was declared", () => {
    const payload = golden("nested");
    const cy = draw(payload);
    const names = (selector: string) =>
      cy.edges(selector).map((edge) => `${payload.nodes[indexOf(edge.data("source") as string)]?.label}>${payload.nodes[indexOf(edge.data("target") as string)]?.label}`);
    expect(names(".untaken")).toEqual(["research>write"]);
    expect(names(".undeclared")).toEqual(["research>fact_check", "fact_check>write"]);
    expect(cy.nodes(".undeclared").map((node) => node.data("label") as string)).toEqual(["fact_check"]);
  });

  it("shows visits, failures, goals and global steps", () => {
    const house = golden("house");
    const cy = draw(house);
    const labels = (selector: string) => cy.nodes(selector).map((node) => node.data("label") as string);
    expect(labels(".repeated")).toEqual(["search_city", "search_coast", "rank", "refine"]);
    expect(labels(".global")).toEqual(["escalate"]);
    expect(labels(".goal")).toEqual(["submitted"]);
    expect(draw(golden("failed")).nodes(".failing").map((node) => node.data("label") as string)).toEqual(["present"]);
  });

  it("keeps subgraphs together", () => {
    const cy = draw(golden("nested"));
    expect(cy.nodes(".group").map((group) => group.children().map((child) => child.data("label") as string))).toEqual([["find", "read"]]);
  });
});

it("every property of the style is one that Cytoscape knows", () => {
  const warnings: string[] = [];
  const warn = console.warn;
  console.warn = (text: string) => void warnings.push(text);
  try {
    const color = new Proxy({}, { get: () => "rgb(10, 20, 30)" }) as Theme["color"];
    const payload = golden("house");
    cytoscape({
      headless: true, styleEnabled: true, elements: elements(payload, { color: "duration", size: "tokens" }, 900, "down"), layout: { name: "preset" },
      style: graphStyle({ dark: true, font: "sans-serif", mono: "monospace", color }),
    });
  } finally {
    console.warn = warn;
  }
  expect(warnings).toEqual([]);
});

describe("by choice", () => {
  const house = golden("house");

  it("nodes are coloured and sized by a number, which is written on them", () => {
    const cy = draw(house, { color: "duration", size: "tokens" });
    const of = (label: string) => cy.nodes().filter((node) => node.data("label") === label).data() as { heat: number; note: string; height: number };
    expect(of("search_coast").heat).toBe(1);
    expect(of("search_coast").note).toBe("2.28 s");
    expect(of("present").height).toBeGreaterThan(of("greet").height);
    expect(cy.nodes(".heat").map((node) => node.data("label") as string)).not.toContain("escalate");
  });

  it("only what differs is offered", () => {
    expect(metricsOf(house.nodes)).toEqual(["duration", "tokens", "visits"]);
    expect(metricsOf(golden("empty").nodes)).toEqual([]);
  });

  it("attempts are told from visits", () => {
    expect(draw(golden("paused")).nodes(".repeated").map((node) => node.data("badge") as string)).toEqual(["↻1"]);
  });

  it("as of a moment, nothing is shown that was not yet", () => {
    const cy = draw(house, PLAIN, 300);
    expect(cy.nodes(".step.visited").map((node) => node.data("label") as string)).toEqual(["greet", "qualify"]);
    expect(cy.edges(".taken").length).toBe(2);
  });
});

describe("the way to a failure", () => {
  it("leads from the start to it", () => {
    const payload = golden("failed");
    const fatal = draw(payload).edges(".fatal").map((edge) => payload.nodes[indexOf(edge.data("target") as string)]?.label);
    expect(fatal).toContain("present");
    expect(fatal).toContain("greet");
    expect(fatal).not.toContain("search_city");
    expect(draw(golden("house")).edges(".fatal").length).toBe(0);
  });
});

describe("layout", () => {
  it("takes the direction that can be drawn larger", () => {
    const { layout } = golden("house");
    expect(chooseLayout(layout, 700, 300)).toBe("across");
    expect(chooseLayout(layout, 380, 600)).toBe("down");
  });

  it("puts bends where Cytoscape will draw them", () => {
    const [from, to] = [{ x: 0, y: 0 }, { x: 100, y: 0 }];
    // Weights along the way, distances to its right: downwards when going right.
    expect(bendsOf([50, 30], from, to)).toEqual({ weights: [0.5], distances: [30] });
    expect(bendsOf([], from, to)).toBeNull();
    expect(bendsOf([25, -10, 75, 20], from, to)).toEqual({ weights: [0.25, 0.75], distances: [-10, 20] });
    expect(bendsOf([50, 30], to, from)).toEqual({ weights: [0.5], distances: [-30] });
  });

  it("gives each edge bends or none, never one without the other", () => {
    const payload = golden("house");
    for (const [index] of payload.edges.entries()) {
      const element = elements(payload).find((one) => one.data.id === edgeId(index));
      expect((element?.data.weights as number[] | undefined)?.length).toBe((element?.data.distances as number[] | undefined)?.length);
    }
  });
});

describe("labels", () => {
  const labelled = (ends: [[number, number], [number, number]], label = "a") => {
    const payload = structuredClone(golden("paused"));
    payload.nodes = payload.nodes.slice(0, 2).map((node) => ({ ...node, kind: "step", parent: null, label, n_visits: 1 }));
    payload.edges = payload.edges.slice(0, 1).map((edge) => ({ ...edge, source: 0, target: 1, taken: 12 }));
    payload.layout.across.nodes = ends.map(([x, y]) => [x, y, 184, 36]);
    payload.layout.across.edges = [[]];
    return draw(payload);
  };

  it("never cover a straight edge", () => {
    expect(labelled([[0, 0], [110, 0]]).edges(".level").length).toBe(1);
    expect(labelled([[0, 0], [0, 70]]).edges(".upright").length).toBe(1);
    expect(labelled([[0, 0], [110, 70]]).edges(".level, .upright").length).toBe(0);
  });

  it("are cut before they reach the icon, when they are too long for any node", () => {
    expect(labelled([[0, 0], [9, 0]], "x".repeat(120)).nodes().map((node) => node.data("room") as number)).toEqual([152, 152]);
    expect(labelled([[0, 0], [9, 0]], "search").nodes().map((node) => node.data("room") as number)).toEqual([184, 184]);
  });
});
