// The switch between a run and its replays and forks, in the line above.

import { h } from "./dom";
import { plural } from "./format";
import type { Host } from "./host";
import type { Relative } from "./protocol.gen";
import { statusLook } from "./status";

export class Family {
  readonly element = h("span", { class: "ftnb-family", attrs: { hidden: true } });
  private asked = "";
  private members: Relative[] = [];

  constructor(private readonly host: Host, private readonly onSay: (text: string) => void) {}

  /** The engagement that is shown; its family is asked for when it is another one, or has got to another status. */
  show(id: string, status: string): void {
    const key = `${id} ${status}`;
    if (!this.host.family || this.asked === key) return;
    this.asked = key;
    this.host.family().then(
      (members) => {
        if (this.asked !== key) return;
        this.members = members;
        this.draw(id);
      },
      () => {}, // an older kernel, or a store that was closed: the run is shown without its family
    );
  }

  private draw(id: string): void {
    const { members, host, element } = this;
    element.hidden = members.length < 2;
    if (element.hidden) return element.replaceChildren();
    const label = `${plural(members.length, "run")} of this family`;
    const choice = h("select", { class: "ftnb-select", title: label, attrs: { "aria-label": "Run and its branches" } });
    members.forEach((one) => {
      const option = h("option", { text: this.title(one), attrs: { value: one.id } });
      option.selected = one.id === id;
      choice.append(option);
    });
    choice.addEventListener("change", () => {
      const wanted = choice.value;
      const shown = host.showRelative?.(wanted) ?? Promise.reject(new Error("this page carries only one run"));
      shown.then(
        () => this.onSay(`Showing ${choice.selectedOptions[0]?.text.trim() ?? "another run"}`),
        (error: unknown) => {
          choice.value = id;
          this.onSay(`It cannot be shown: ${error instanceof Error ? error.message : String(error)}`);
        },
      );
    });
    element.replaceChildren(choice);
  }

  private title({ id, kind, at, status, depth, n_steps }: Relative): string {
    const inset = "\u00a0\u00a0".repeat(Math.min(depth, 8));
    const what = depth === 0 && kind === "run" ? "original" : `${kind}${at ? ` at ${at}` : ""}`;
    return `${inset}${what} · ${statusLook(status).word} · ${plural(n_steps, "step")} · …${id.slice(-6)}`;
  }
}
