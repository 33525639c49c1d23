"""Who may do what in a PostgreSQL store, as the grants that say so."""

from __future__ import annotations

from typing import Literal

from ..core.errors import InvalidArgumentError
from ._postgres_schema import TABLES, check_name

May = Literal["read", "record", "purge"]
_ALL = ("", *(f"_{name}" for name in (*TABLES, "meta", "migration", "tombstone", "entry")))
_RECORD = """
GRANT INSERT ON {t}_log, {t}_blob, {t}_stream, {t}_label, {t}_engagement, {t}_entry TO {role};
GRANT UPDATE (seq, eid, sid, log_size, log_frontier, log_note) ON {t}_meta TO {role};
GRANT UPDATE (size, frontier) ON {t}_stream TO {role};
GRANT UPDATE (value) ON {t}_label TO {role};
GRANT UPDATE (n_late) ON {t}_tombstone TO {role};
GRANT EXECUTE ON FUNCTION {t}_roll(bigint) TO {role};
"""
_PURGE = """
GRANT DELETE ON {t}_log, {t}_blob, {t}_stream, {t}_label, {t}_engagement TO {role};
GRANT UPDATE (salt, body, commitment) ON {t}_log TO {role};
GRANT INSERT ON {t}_tombstone, {t}_entry TO {role};
GRANT UPDATE (purges, log_size, log_frontier, log_note) ON {t}_meta TO {role};
GRANT EXECUTE ON FUNCTION {t}_drop(bigint) TO {role};
"""
_MORE: dict[str, str] = {"read": "", "record": _RECORD, "purge": _PURGE}


def grants(table: str, role: str, may: May) -> list[str]:
    """The statements that let `role` do it: for `PostgresStore.grant`, or for an administrator to run.

    `read` sees everything; `record` adds records as well, and can neither delete nor change one; `purge` erases
    engagements and content as well, and cannot record. A role that is to do both gets both. Nobody but the owner of the
    tables can make, alter or drop them. Raises InvalidArgumentError.
    """
    if may not in _MORE:
        raise InvalidArgumentError(f"may={may!r} is none of: {', '.join(_MORE)}")
    if not role or "\x00" in role:
        raise InvalidArgumentError(f"invalid role name {role!r}")
    t, quoted = check_name(table), '"' + role.replace('"', '""') + '"'
    select = f"GRANT SELECT ON {', '.join(t + name for name in _ALL)} TO {quoted}"
    more = (line.strip() for line in _MORE[may].split(";"))
    return [select, *(line.format(t=t, role=quoted) for line in more if line)]
