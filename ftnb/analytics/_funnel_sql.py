from __future__ import annotations


def sql_reach(steps, spec, *, by_engagement):
    raise NotImplementedError
