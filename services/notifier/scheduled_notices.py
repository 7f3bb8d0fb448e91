"""The store of notices at a time of their own: reminders, and the digest that repeats. Here is their SQL.

Everything works on a connection, so that it can be part of a larger transaction. Times are epoch milliseconds.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, func, select

from services.notifier.models import NoticeState, ScheduledNotice
from services.platform.clock import DAY
from services.platform.data.database import ForEach
from services.platform.data.rows import open_session

REMINDER, DIGEST = "reminder", "digest"
KEPT_MS = 30 * DAY
"""How long what is over is kept: until no late repeat of an old event can take it up again."""


class NewNotice(NamedTuple):
    """What is said at `due_at`, unless `state` is void."""

    kind: str
    entity_id: str
    version: int
    state: str
    due_at: int
    event_id: str
    payload: str


# The newer version of a reservation wins, in whatever order its events arrive.
_SCHEDULE = ForEach(
    "INSERT INTO planned (kind, entity_id, version, state, due_at, try_at, event_id, payload) VALUES {0}"
    " ON CONFLICT (kind, entity_id) DO UPDATE SET version = excluded.version, state = excluded.state,"
    " due_at = excluded.due_at, try_at = excluded.try_at, event_id = excluded.event_id, payload = excluded.payload"
    " WHERE planned.version < excluded.version RETURNING 1",
    "(:kind{0}, :entity_id{0}, :version{0}, :state{0}, :due_at{0}, :due_at{0}, :event_id{0}, :payload{0})",
    ", ",
    *NewNotice._fields,
    distinct=True,
)


def schedule(connection: Connection, notices: Iterable[NewNotice]) -> None:
    """One of its kind for each reservation. An older version than what is there changes nothing."""
    newest: dict[tuple[str, str], NewNotice] = {}  # a statement can change a row only once
    for notice in notices:
        known = newest.setdefault((notice.kind, notice.entity_id), notice)
        if known.version < notice.version:
            newest[notice.kind, notice.entity_id] = notice
    _SCHEDULE.execute(connection, newest.values())


def read_due(connection: Connection, now: int, limit: int) -> Sequence[ScheduledNotice]:
    """Whoever settles one compares its `try_at`."""
    due = select(ScheduledNotice).where(ScheduledNotice.state == NoticeState.WAITING, ScheduledNotice.try_at <= now)
    with open_session(connection) as session:
        return session.exec(due.order_by(col(ScheduledNotice.try_at), col(ScheduledNotice.id)).limit(limit)).all()


def read_next(connection: Connection) -> int | None:
    """When the next one is to be looked at."""
    earliest = select(func.min(ScheduledNotice.try_at)).where(ScheduledNotice.state == NoticeState.WAITING)
    with open_session(connection) as session:
        return session.exec(earliest).one()


def finish(connection: Connection, notice: ScheduledNotice) -> bool:
    """It is said, or is not to be. False when somebody else was faster, or it has been scheduled anew.

    Personal data is kept only as long as it is needed.
    """
    return _move(connection, notice, state=NoticeState.DONE, payload="")


def repeat(connection: Connection, notice: ScheduledNotice, due_at: int) -> bool:
    """Done for this time; the next time is then. As finish."""
    return _move(connection, notice, due_at=due_at, try_at=due_at)


def postpone(connection: Connection, notice: ScheduledNotice, try_at: int) -> None:
    _move(connection, notice, try_at=try_at)


def _move(connection: Connection, notice: ScheduledNotice, **values: object) -> bool:
    """A statement, and no session: what was read in an earlier transaction is changed only if it is still the same."""
    unchanged = (
        col(ScheduledNotice.id) == notice.id,
        col(ScheduledNotice.event_id) == notice.event_id,
        col(ScheduledNotice.try_at) == notice.try_at,
        col(ScheduledNotice.state) == NoticeState.WAITING,
    )
    return bool(connection.execute(sa.update(ScheduledNotice).where(*unchanged).values(values)).rowcount)


def schedule_digest(connection: Connection, next_due: int | None, now: int) -> None:
    """One row that repeats. One that is due stays due; one to come follows the setting, None for no digest."""
    digest = col(ScheduledNotice.kind) == DIGEST
    if next_due is None:
        connection.execute(sa.delete(ScheduledNotice).where(digest))
        return
    to_come = sa.update(ScheduledNotice).where(digest, col(ScheduledNotice.try_at) > now)
    connection.execute(to_come.values(due_at=next_due, try_at=next_due))
    schedule(connection, [NewNotice(DIGEST, DIGEST, 0, NoticeState.WAITING.value, next_due, DIGEST, "")])


def prune(connection: Connection, now: int) -> None:
    """Forgets what is long over."""
    over = col(ScheduledNotice.state) != NoticeState.WAITING
    connection.execute(sa.delete(ScheduledNotice).where(over, col(ScheduledNotice.due_at) < now - KEPT_MS))
