"""Two runs as one payload: a graph of both, and which steps belong together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .layout import layout_graph
from .protocol import (
    PROTOCOL_VERSION,
    ComparedEdge,
    ComparedNode,
    ComparisonPayload,
    EngagementPayload,
    Node,
    Pair,
    PairKind,
    StepRow,
)


def comparison_payload(
    a: EngagementPayload,
    b: EngagementPayload,
    *,
    alignment: Iterable[Mapping[str, Any]] | None = None,
    names: tuple[str, str] = ("A", "B"),
) -> ComparisonPayload:
    """What the view of two runs side by side needs.

    `alignment` says which steps belong together, in the order in which they are shown: entries as `Pair`, or with
    `side` and `what` as `ftnb.diff(a, b).payload()` has them. Without it, steps of the same node, visit and attempt
    do. Steps that no pair mentions stand alone. Raises IndexError for a pair of steps that are not there.
    """
    pairs = align_steps(a["steps"], b["steps"]) if alignment is None else [_as_pair(one) for one in alignment]
    nodes, places = _merge_nodes(a["nodes"], b["nodes"])
    edges = _merge_edges(a, b, places)
    return ComparisonPayload(
        v=PROTOCOL_VERSION,
        kind="comparison",
        names=list(names),
        runs=[_without_details(a), _without_details(b)],
        alignment=_complete(pairs, len(a["steps"]), len(b["steps"])),
        nodes=nodes,
        edges=edges,
        layout=layout_graph(nodes, edges, spread=1.3),
    )


def align_steps(a: Sequence[StepRow], b: Sequence[StepRow]) -> list[Pair]:
    """Pairs of steps of the same node, visit and attempt, in the order of `a`; of `b` alone: where they ran."""
    known = {_key(step): index for index, step in enumerate(a)}
    partner = {known[_key(step)]: index for index, step in enumerate(b) if _key(step) in known}
    matched = {index: place for place, index in partner.items()}
    alone: dict[int, list[int]] = {}
    last = -1
    for index in range(len(b)):
        if index in matched:
            last = max(matched[index], last)
        else:
            alone.setdefault(last, []).append(index)
    pairs = [pair_of(None, b, None, index) for index in alone.get(-1, [])]
    for index in range(len(a)):
        pairs.append(pair_of(a, b, index, partner.get(index)))
        pairs += [pair_of(None, b, None, other) for other in alone.get(index, [])]
    return pairs


def pair_of(a: Sequence[StepRow] | None, b: Sequence[StepRow] | None, at: int | None, other: int | None) -> Pair:
    """The pair of step `at` of `a` and step `other` of `b`; it changed where the outcome is another."""
    if a is None or at is None or b is None or other is None:
        return Pair(a=at, b=other, kind="only_b" if at is None else "only_a", note="")
    before, after = a[at], b[other]
    notes = []
    if before["status"] != after["status"]:
        notes.append(f"{before['status']} → {after['status']}")
    elif before["failing"] != after["failing"]:
        notes.append("fails now" if after["failing"] else "fails no more")
    if before["error"] != after["error"] and not notes:
        notes.append("another error")
    return Pair(a=at, b=other, kind="changed" if notes else "same", note=", ".join(notes))


def _as_pair(entry: Mapping[str, Any]) -> Pair:
    a, b = entry["a"], entry["b"]
    what = [str(one) for one in entry.get("what", ())]
    if what == ["shared"]:
        # A branch has the steps before its fork behind it: it did not run them, but they are no difference.
        return Pair(a=a, b=b, kind="same", note=str(entry.get("note", "before the fork")))
    if a is None or b is None:
        return Pair(a=a, b=b, kind="only_b" if a is None else "only_a", note=str(entry.get("note", "")))
    kind: PairKind = entry.get("kind") or ("changed" if what else "same")
    return Pair(a=a, b=b, kind=kind, note=str(entry.get("note", ", ".join(what))))


def _key(step: StepRow) -> tuple[str, str, int, int]:
    return step["ns"], step["name"], step["visit"], step["attempt"]


def _complete(pairs: list[Pair], n_a: int, n_b: int) -> list[Pair]:
    """`pairs` with every step that they leave out, last."""
    for pair, side, n in ((pair, side, n) for pair in pairs for side, n in (("a", n_a), ("b", n_b))):
        index = pair["a"] if side == "a" else pair["b"]
        if index is not None and not 0 <= index < n:
            raise IndexError(f"the alignment names step {index} of run {side}, which has {n}")
    seen_a, seen_b = {pair["a"] for pair in pairs}, {pair["b"] for pair in pairs}
    missing = [Pair(a=index, b=None, kind="only_a", note="") for index in range(n_a) if index not in seen_a]
    missing += [Pair(a=None, b=index, kind="only_b", note="") for index in range(n_b) if index not in seen_b]
    return [*pairs, *missing]


def _merge_nodes(a: Sequence[Node], b: Sequence[Node]) -> tuple[list[ComparedNode], list[dict[int, int]]]:
    """Nodes of both by kind and name, and where each node of `a` and of `b` stands among them."""
    merged: list[ComparedNode] = []
    at: dict[tuple[str, str], int] = {}
    places: list[dict[int, int]] = [{}, {}]
    for side, nodes in enumerate((a, b)):
        for index, node in enumerate(nodes):
            key = (node["kind"], node["name"])
            if key not in at:
                at[key] = len(merged)
                merged.append(
                    ComparedNode(
                        name=node["name"],
                        label=node["label"],
                        kind=node["kind"],
                        parent=None,
                        is_global=node["is_global"],
                        is_goal=node["is_goal"],
                        declared=node["declared"],
                        a=None,
                        b=None,
                    )
                )
            own = merged[at[key]]
            own["declared"] = own["declared"] or node["declared"]
            if side == 0:
                own["a"] = index
            else:
                own["b"] = index
            places[side][index] = at[key]
    for side, nodes in enumerate((a, b)):
        for index, node in enumerate(nodes):
            own = merged[places[side][index]]
            parent = None if node["parent"] is None else places[side][node["parent"]]
            if own["parent"] is None and parent is not None and not _holds(merged, places[side][index], parent):
                own["parent"] = parent
    return merged, places


def _holds(nodes: Sequence[ComparedNode], outer: int, inner: int) -> bool:
    """Whether `inner` is `outer` or lies in it: two runs may disagree on what holds what."""
    at: int | None = inner
    while at is not None:
        if at == outer:
            return True
        at = nodes[at]["parent"]
    return False


def _merge_edges(a: EngagementPayload, b: EngagementPayload, places: list[dict[int, int]]) -> list[ComparedEdge]:
    merged: dict[tuple[int, int], ComparedEdge] = {}
    for side, run in enumerate((a, b)):
        for edge in run["edges"]:
            source, target = places[side][edge["source"]], places[side][edge["target"]]
            own = merged.setdefault(
                (source, target),
                ComparedEdge(source=source, target=target, kind=edge["kind"], declared=edge["declared"], a=0, b=0),
            )
            own["declared"] = own["declared"] or edge["declared"]
            if side == 0:
                own["a"] += edge["taken"]
            else:
                own["b"] += edge["taken"]
    return list(merged.values())


def _without_details(run: EngagementPayload) -> EngagementPayload:
    return {**run, "details": []}
