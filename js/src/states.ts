// What is said in place of a run, or above it: waiting, failed, cut off from the kernel.

import { h, icon } from "./dom";
import { ICON_UNPLUGGED, ICON_WARNING } from "./status";

/** Who is behind a view: what is said when it is gone. */
export type Behind = "kernel" | "server";

const GONE: Record<Behind, readonly [string, string]> = {
  kernel: ["The kernel is gone. ", "This is what the view had. What was cut cannot be fetched and nothing can be annotated; run the cell again to go on."],
  server: ["The server is not reached. ", "This is what the view had; what was cut cannot be fetched until the server is back."],
};

export class Notice {
  private readonly banner: HTMLElement;

  constructor(behind: Behind = "kernel") {
    const [title, text] = GONE[behind];
    this.banner = h("div", { class: "ftnb-banner", attrs: { role: "status", hidden: true } }, icon(ICON_UNPLUGGED), h("span", {}, h("b", { text: title }), text));
    this.element = h("div", {}, this.banner, this.state);
  }

  private readonly state = h("div", { class: "ftnb-state", attrs: { role: "status", hidden: true } });
  readonly element: HTMLElement;

  /** Nothing to show yet. */
  wait(title: string, text: string): void {
    this.set(h("div", { class: "ftnb-pulse", attrs: { "aria-hidden": true } }, h("i"), h("i"), h("i")), title, text);
  }

  /** It cannot be shown, and why. */
  fail(title: string, text: string): void {
    this.set(icon(ICON_WARNING, "ftnb-icon ftnb-big"), title, text);
    this.state.classList.add("failed");
  }

  clear(): void {
    this.state.hidden = true;
  }

  unplug(gone: boolean): void {
    this.banner.hidden = !gone;
  }

  private set(mark: Element, title: string, text: string): void {
    this.state.classList.remove("failed");
    this.state.replaceChildren(mark, h("b", { text: title }), h("p", { text }));
    this.state.hidden = false;
  }
}
