"""The store of the requests that support has before it: opened, changed and closed by events. Here is their SQL.

Everything works on a connection, so that it can be part of a larger transaction. Times are epoch milliseconds.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, or_, select

from services.notifier.models import CaseState, SupportCase
from services.notifier.scheduled_notices import KEPT_MS
from services.platform.data.rows import open_session

# Changed, it counts as waiting since the first time.
_OPEN = sa.text(
    "INSERT INTO support_case (reservation_id, version, state, closed_by, addresses, open_time, cutoff, payload)"
    " VALUES (:reservation_id, :version, :state, :closed_by, :addresses, :open_time, :cutoff, :payload)"
    " ON CONFLICT (reservation_id) DO UPDATE SET version = excluded.version, addresses = excluded.addresses,"
    " cutoff = excluded.cutoff, payload = excluded.payload"
    " WHERE support_case.version < excluded.version AND support_case.state = 'open'"
)


def open_case(connection: Connection, case: SupportCase) -> Sequence[str]:
    """The addresses that were asked about it before; they stay among those of the case."""
    with open_session(connection) as session:
        known = session.get(SupportCase, case.reservation_id)
    before = known.asked if known else []
    addresses = "\n".join(dict.fromkeys([*before, *case.asked]))
    connection.execute(_OPEN, {**case.model_dump(), "addresses": addresses})
    return before


def close_case(connection: Connection, reservation_id: str, version: int, event_id: str) -> Sequence[str]:
    """The addresses that still had the case before them; the same again when the same event comes again."""
    with open_session(connection) as session:
        case = session.get(SupportCase, reservation_id, with_for_update=True)
        if case is None or case.closed_by not in ("", event_id) or case.version > version:
            return []
        case.state, case.version, case.closed_by, case.payload = CaseState.CLOSED, version, event_id, ""
        return case.asked


def read_answerable(connection: Connection, now: int) -> Sequence[SupportCase]:
    in_time = or_(SupportCase.cutoff == 0, SupportCase.cutoff > now)
    with open_session(connection) as session:
        return session.exec(select(SupportCase).where(SupportCase.state == CaseState.OPEN, in_time)).all()


def prune(connection: Connection, now: int) -> None:
    """Forgets what is long over."""
    connection.execute(sa.delete(SupportCase).where(col(SupportCase.open_time) < now - KEPT_MS))
