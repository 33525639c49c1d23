// Where the widget lives. This is the only file that knows anywidget's model; everything else sees a Host.

import { open } from "./columns";
import { applyPatch } from "./patch";
import { wholeWhy } from "./why";
import type {
  AnnotateMessage,
  AnswerMessage,
  DetailMessage,
  DetailPart,
  EngagementPayload,
  FetchMessage,
  FamilyMessage,
  HelloMessage,
  InsightKind,
  InspectMessage,
  PatchMessage,
  Preview,
  Relative,
  Saved,
  SearchMessage,
  SelectMessage,
  StateMessage,
  StepDetail,
  ValueMessage,
  ViewState,
  WhyDetail,
} from "./protocol.gen";

/** The part of anywidget's model that is used here. */
export interface AnyModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, listener: (...args: never[]) => void): void;
  off(event: string, listener: (...args: never[]) => void): void;
}

/** What a user can say about a step (an id), or about the engagement (null). */
export type Judgement = Pick<AnnotateMessage, "step" | "label" | "value" | "note">;

export type Change = "payload" | "selection" | "state" | "connection";

/** One view of one engagement, and whoever is behind it. */
export interface Host {
  /** null: there is none yet. The object may change in place; `onChange` tells. */
  payload(): EngagementPayload | null;
  /** Ids of the selected steps; the last one is shown in the inspector. */
  selection(): string[];
  /** The user selected these steps. */
  select(ids: string[]): void;
  /** How the view is set beside the selection; fields that were never set are null. */
  state(): ViewState;
  /** Change some fields; the rest stays. Views that are mounted again find them. */
  setState(fields: Partial<ViewState>): void;
  /** Call `listener` when the other side changed something. */
  onChange(listener: (what: Change) => void): void;
  /** Whether somebody may answer; false after the kernel has gone. */
  connected(): boolean;
  /** The whole of a value that was sent cut; null where nobody can be asked, as for the next two. */
  fetch: ((part: DetailPart, step: string | null, event: number | null) => Promise<Preview>) | null;
  /** Ids of the steps in whose whole values a text occurs. */
  search: ((text: string) => Promise<string[]>) | null;
  /** The details of a step, where they were left out of the payload. */
  detail: ((step: string) => Promise<StepDetail>) | null;
  /** Why a step (id) ran, what it changed, or its code: `WhyDetail`, `ChangesDetail`, `CodeDetail`. */
  inspect: ((step: string, what: InsightKind) => Promise<unknown>) | null;
  /** The engagements that belong together with this one; none where it is alone. */
  family: (() => Promise<Relative[]>) | null;
  /** Show another of them in this view. */
  showRelative: ((id: string) => Promise<unknown>) | null;
  /** Put a judgement on record. */
  annotate: ((judgement: Judgement) => Promise<void>) | null;
}

export const NO_STATE: ViewState = { tab: null, filter: null, found: null, time_ms: null, graph: null, timeline: null };

/** Frontends mark the places of widgets whose kernel has gone. */
const DISCONNECTED = ".jupyter-widgets-disconnected";

/** A host with a kernel behind it, for a view in `el`. Ends with `signal`. */
export function modelHost(model: AnyModel, el: Element, signal: AbortSignal): Host {
  const calls = new Calls(model);
  const listeners: Array<(what: Change) => void> = [];
  const tell = (what: Change) => {
    for (const listener of listeners) listener(what);
  };
  const listen = (event: string, listener: (...args: never[]) => void) => {
    model.on(event, listener);
    signal.addEventListener("abort", () => model.off(event, listener), { once: true });
  };
  const own = new Echoes();
  const payload = () => asPayload(model.get("_payload"));
  const state = () => ({ ...NO_STATE, ...(model.get("_state") as Partial<ViewState> | null) });
  const hello = () => calls.send({ op: "hello", patches: payload()?.seq ?? -1, seq: calls.next() } satisfies HelloMessage);
  const can = (what: string) => ((model.get("_can") as string[] | null) ?? []).includes(what);
  let gone = false;
  listen("msg:custom", (message: ValueMessage | AnswerMessage | PatchMessage) => {
    if (gone) {
      gone = false;
      tell("connection");
    }
    if (message?.op === "value") calls.settle(message.seq, message.preview, message.error);
    else if (message?.op === "answer") calls.settle(message.seq, message.value, message.error);
    else if (message?.op === "patch") {
      const now = payload();
      // Another view of this model may have applied it; and where one was missed, the whole is asked for.
      if (now === null || message.patch > now.seq + 1) hello();
      else {
        if (message.patch === now.seq + 1) applyPatch(now, message.changes, message.patch);
        tell("payload");
      }
    }
  });
  listen("change:_payload", () => tell("payload"));
  listen("change:selection", () => own.isStale("selection", model.get("selection")) || tell("selection"));
  listen("change:_state", () => own.isStale("_state", model.get("_state")) || tell("state"));
  // It does not say whether the kernel came or went: taken for gone until it answers.
  listen("comm_live_update", () => {
    gone = true;
    hello();
    queueMicrotask(() => tell("connection"));
  });
  const save = (name: string, value: unknown) => {
    own.sent(name, value);
    model.set(name, value);
    model.save_changes();
  };
  hello();
  return {
    payload,
    selection: () => (model.get("selection") as string[] | null) ?? [],
    select(ids) {
      // Both ways: while a cell awaits, only custom messages get through; marimo and saved state see only traits.
      calls.send({ op: "select", selection: ids, seq: calls.next() } satisfies SelectMessage);
      save("selection", ids);
    },
    state,
    setState(fields) {
      calls.send({ op: "state", state: fields, seq: calls.next() } satisfies StateMessage);
      save("_state", { ...state(), ...fields });
    },
    onChange: (listener) => void listeners.push(listener),
    connected: () => !gone && el.closest(DISCONNECTED) === null,
    fetch: (part, step, event) =>
      calls.ask<Preview>((seq) => ({ op: "fetch", part, step, event, seq }) satisfies FetchMessage),
    search: (text) => calls.ask<string[]>((seq) => ({ op: "search", text, seq }) satisfies SearchMessage),
    detail: (step) => calls.ask<StepDetail>((seq) => ({ op: "detail", step, seq }) satisfies DetailMessage),
    inspect: !can("inspect") ? null : (step, what) => calls.ask<unknown>((seq) => ({ op: "inspect", step, what, seq }) satisfies InspectMessage),
    family: !can("family") ? null : () => calls.ask<Relative[]>((seq) => ({ op: "family", show: null, seq }) satisfies FamilyMessage),
    showRelative: !can("family") ? null : (id) => calls.ask<unknown>((seq) => ({ op: "family", show: id, seq }) satisfies FamilyMessage),
    annotate: !can("annotate") ? null : (judgement) =>
      calls.ask<void>((seq) => ({ op: "annotate", ...judgement, seq }) satisfies AnnotateMessage),
  };
}

function asPayload(value: unknown): EngagementPayload | null {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "engagement") ? open(value as EngagementPayload) : null;
}

/** Questions to the kernel that wait for an answer. */
class Calls {
  // Several views of one model hear each other's answers.
  private seq = Math.floor(Math.random() * 2 ** 40) * 1000;
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (reason: Error) => void }>();

  constructor(private readonly model: AnyModel) {}

  next(): number {
    return ++this.seq;
  }

  /** A kernel that has gone must not stop the view. */
  send(message: object): void {
    try {
      this.model.send(message);
    } catch (error) {
      console.debug("ftnb: not sent", error);
    }
  }

  ask<T>(make: (seq: number) => object): Promise<T> {
    const seq = this.next();
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(seq, { resolve, reject });
      this.send(make(seq));
    });
  }

  settle(seq: number, value: unknown, error: string | null): void {
    const asked = this.waiting.get(seq);
    this.waiting.delete(seq);
    if (error !== null || value === null) asked?.reject(new Error(error ?? "no value"));
    else asked?.resolve(value as never);
  }
}

/** What this side set, to know it again when the kernel repeats it late: an older choice must not undo a newer one. */
class Echoes {
  private readonly mine = new Map<string, string[]>();

  sent(name: string, value: unknown): void {
    const kept = this.mine.get(name) ?? [];
    this.mine.set(name, [...kept.slice(-20), JSON.stringify(value)]);
  }

  isStale(name: string, value: unknown): boolean {
    const kept = this.mine.get(name) ?? [];
    const place = kept.indexOf(JSON.stringify(value));
    if (place < 0) return false;
    this.mine.set(name, kept.slice(place + 1));
    return place < kept.length - 1;
  }
}

/** A host in a saved file: nobody answers. */
export function staticHost(payload: EngagementPayload & { saved?: Saved }): Host {
  const { saved } = payload;
  const known = new Map((saved?.insights ?? []).map((one) => [`${one.what} ${one.step}`, one]));
  let selection: string[] = [];
  let state = NO_STATE;
  return {
    payload: () => payload,
    selection: () => selection,
    select: (ids) => {
      selection = ids;
    },
    state: () => state,
    setState: (fields) => {
      state = { ...state, ...fields };
    },
    onChange: () => {},
    connected: () => true,
    fetch: null,
    search: null,
    detail: null,
    inspect: known.size === 0 ? null : (step, what) => {
      const one = known.get(`${what} ${step}`);
      if (one?.value != null && what === "why") return Promise.resolve(wholeWhy(one.value as WhyDetail, (id) => known.get(`why ${id}`)?.value as WhyDetail | null | undefined));
      if (one?.value != null) return Promise.resolve(one.value);
      return Promise.reject(new Error(one?.error ?? "it was left out of this page"));
    },
    family: saved?.family.length ? () => Promise.resolve(saved.family) : null,
    showRelative: null,
    annotate: null,
  };
}
