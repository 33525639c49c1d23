// The view of a process map.

import { h } from "../dom";
import { count, plural } from "../format";
import { SceneView } from "../graph/sceneview";
import type { ProcessMapPayload } from "../protocol.gen";
import { factTable, Shell } from "../shell";
import { factsOf, type Measure, MEASURE_WORDS, MEASURES, measuresOf, rareEdges, sceneOfMap, type Shown } from "./scene";

export class MapApp {
  readonly root: HTMLElement;
  readonly graph: SceneView;
  private readonly shell: Shell;
  private readonly measure = h("select", { class: "ftnb-select", attrs: { "aria-label": "What the colours and numbers are" } });
  private readonly group = h("select", { class: "ftnb-select", attrs: { "aria-label": "Which engagements" } });
  private readonly share = h("input", { class: "ftnb-slider", attrs: { type: "range", min: 0, max: 100, value: 0, "aria-label": "Leave out ways that fewer took" } });
  private readonly shareText = h("output", { class: "ftnb-clock" });
  private by: Measure = "engagements";
  private shown: Shown = 0;
  private hidden: ReadonlySet<number> = new Set();

  constructor(private readonly payload: ProcessMapPayload, signal: AbortSignal) {
    this.shell = new Shell(signal, (theme) => this.graph.paint(theme));
    this.root = this.shell.root;
    this.graph = new SceneView({ onNode: (node) => this.showNode(node), onEdge: (edge) => this.showEdge(edge), onHover: () => {} }, signal);
    const measures = measuresOf(payload);
    this.measure.append(...measures.map((one) => h("option", { text: MEASURE_WORDS[one], attrs: { value: one } })));
    this.by = measures[0] ?? "engagements";
    if (payload.groups.length > 1) {
      this.group.append(h("option", { text: "difference", attrs: { value: "difference" } }), ...payload.groups.map((one, i) => h("option", { text: one.name.slice(0, 40), attrs: { value: i } })));
      this.shown = "difference";
    } else this.group.hidden = true;
    this.measure.addEventListener("change", () => {
      this.by = MEASURES.find((one) => one === this.measure.value) ?? "engagements";
      this.draw();
    });
    this.group.addEventListener("change", () => {
      this.shown = this.group.value === "difference" ? "difference" : this.group.value === "1" ? 1 : 0;
      this.draw();
    });
    this.share.addEventListener("input", () => this.filter());
  }

  mount(el: HTMLElement): void {
    const { payload, shell, graph } = this;
    const bar = h(
      "div", { class: "ftnb-bar" }, this.measure, this.group,
      h("label", { class: "ftnb-scrubber" }, h("span", { text: "leave out ways that fewer took than" }), this.share, this.shareText),
    );
    shell.head.replaceChildren(
      h("span", { class: "ftnb-name", text: payload.title || "Process map" }),
      h("span", { class: "ftnb-facts" }, ...payload.groups.map((group) => h("span", {}, h("b", { text: count(group.n_engagements) }), ` ${group.name}`))),
    );
    shell.mount(
      el, `Process map ${payload.title}`, (key) => key === "Escape" && this.clear(),
      bar, h("div", { class: "ftnb-main ftnb-map" }, graph.element, graph.twin, shell.panel),
    );
    this.draw();
    this.filter();
    this.clear();
    this.root.dataset.ready = "1";
  }

  private draw(): void {
    this.graph.show(sceneOfMap(this.payload, this.by, this.shown));
  }

  private filter(): void {
    const share = Number(this.share.value) / 100;
    this.hidden = rareEdges(this.payload, share);
    this.shareText.textContent = this.hidden.size ? `${this.share.value} %: ${plural(this.hidden.size, "way")} less` : `${this.share.value} %`;
    this.graph.hide(this.hidden);
  }

  private showNode(index: number): void {
    const node = this.payload.nodes[index];
    if (!node) return;
    this.graph.select(index);
    this.tell(node.name, factsOf(this.payload, node.numbers));
  }

  private showEdge(index: number): void {
    const edge = this.payload.edges[index];
    if (!edge) return;
    this.graph.select(null, index);
    const name = (at: number) => this.payload.nodes[at]?.name || this.payload.nodes[at]?.kind || "?";
    this.tell(`${name(edge.source)} → ${name(edge.target)}`, factsOf(this.payload, edge.numbers));
  }

  private tell(title: string, rows: string[][]): void {
    const { groups } = this.payload;
    const head = ["", ...groups.map((group) => group.name), ...(groups.length > 1 ? ["difference"] : [])];
    this.shell.panel.replaceChildren(
      factTable(title, head, rows),
      ...(groups.length > 1 ? [h("p", { text: `The difference is ${groups[1]?.name} less ${groups[0]?.name}; what adds up is put over the number of engagements.` })] : []),
    );
    this.shell.say([title, ...rows.map((row) => row.join(" "))].join(", "));
  }

  private clear(): boolean {
    this.graph.select(null);
    const { nodes, edges } = this.payload;
    this.shell.panel.replaceChildren(h("p", { text: `${plural(nodes.length, "node")}, ${plural(edges.length, "way")}. Choose one to see its numbers.` }));
    return true;
  }
}
