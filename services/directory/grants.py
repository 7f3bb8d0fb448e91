"""What accounts may do, on its way to all programs: marked in the transaction of a change, put on the bus afterwards.

The bucket `grants` follows the tables, whatever happens to either: when it is not as it was left, all of it is written
again.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from functools import partial

import sqlalchemy as sa
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from sqlalchemy.engine import Connection
from yunhui.access.v1 import access_pb2

from services.directory import joining, member_queries, roles
from services.directory.models import BINDING, MEMBER, MEMBER_GRANT
from services.platform.data.database import Database
from services.platform.messaging.grants_line import NO_FURTHER, STRANGERS, STREAM, SUBJECT, to_account_id, to_subject
from services.platform.messaging.outbox import real_time
from services.platform.serving.permissions import BUILT_IN
from services.platform.tasks import until_cancelled, wait_at_most

log = logging.getLogger(__name__)

WINDOW = 64
ACK_SECONDS = 5
FINISH_SECONDS = 3.0
LOOK_SECONDS = 1.0
"""How often a publisher looks that nobody wakes: what was marked before it had its turn, or while the bus was away."""
PAUSE_SECONDS = 1.0

g = MEMBER_GRANT.c
_MARKED = (
    " ON CONFLICT (account_id) DO UPDATE SET waiting = true, version = CASE"
    " WHEN member_grant.version < excluded.version THEN excluded.version ELSE member_grant.version + 1 END"
)
"""A version is a time, so that it grows even when the tables come from a backup."""
_COLUMNS = "INSERT INTO member_grant (account_id, version, waiting, sequence)"
_MARK = sa.text(f"{_COLUMNS} VALUES (:account_id, :now, true, 0){_MARKED}")
_MARK_ONCE = sa.text(f"{_COLUMNS} VALUES (:account_id, :now, true, 0) ON CONFLICT (account_id) DO NOTHING")
_MARK_HOLDERS = sa.text(
    f"{_COLUMNS} SELECT DISTINCT account_id, CAST(:now AS bigint), true, 0"  # noqa: S608 - made of constants
    f" FROM binding WHERE role_id IN :role_ids{_MARKED}"
).bindparams(sa.bindparam("role_ids", expanding=True))


def mark(connection: Connection, account_ids: Iterable[str]) -> None:
    """That what they may do has changed, or may have."""
    _mark(connection, _MARK, account_ids)


def mark_once(connection: Connection, account_ids: Iterable[str]) -> None:
    """That programs are to hear of them, unless they did already."""
    _mark(connection, _MARK_ONCE, account_ids)


def _mark(connection: Connection, statement: sa.TextClause, account_ids: Iterable[str]) -> None:
    values = [{"account_id": account_id, "now": real_time()} for account_id in account_ids]
    if values:
        connection.execute(statement, values)


def mark_holders(connection: Connection, role_ids: Collection[str]) -> None:
    """Of one of these roles."""
    connection.execute(_MARK_HOLDERS, {"role_ids": [*role_ids], "now": real_time()})


def compute(connection: Connection, account_ids: Collection[str]) -> dict[str, access_pb2.Grant]:
    """Of accounts that were marked once. Who was a member and is none may do nothing; who never was is unknown."""
    versions = {
        row.account_id: row.version
        for row in connection.execute(sa.select(g.account_id, g.version).where(g.account_id.in_(account_ids)))
    }
    m = MEMBER.c
    members = connection.execute(sa.select(m.account_id, m.status).where(m.account_id.in_(account_ids)))
    statuses = dict.fromkeys(member_queries.last_numbers(connection, account_ids), "DISABLED")
    statuses |= {row.account_id: row.status for row in members}
    held: dict[str, list[tuple[str, str]]] = {account_id: [] for account_id in versions}
    theirs = sa.select(BINDING).where(BINDING.c.account_id.in_(account_ids))
    for row in connection.execute(theirs.order_by(BINDING.c.role_id, BINDING.c.department_id)):
        held[row.account_id].append((row.role_id, row.department_id))
    permitted = roles.permissions_of(connection, {role_id for some in held.values() for role_id, _ in some})
    return {
        account_id: access_pb2.Grant(
            version=version,
            disabled=statuses.get(account_id) == "DISABLED",
            waiting=statuses.get(account_id) == "WAITING",
            unknown=account_id not in statuses,
            roles=dict.fromkeys(role_id for role_id, _ in held[account_id]),
            permissions=_together(held[account_id], permitted),
        )
        for account_id, version in versions.items()
    }


def _together(
    held: Iterable[tuple[str, str]], permitted: dict[str, list[str]]
) -> Iterable[access_pb2.GrantedPermission]:
    """What roles, each for a department or everywhere, permit."""
    found: dict[str, set[str]] = {}
    for role_id, department_id in held:
        for permission in permitted[role_id]:
            found.setdefault(permission, set()).add(department_id)
    for permission in roles.in_order(found):
        department_ids = found[permission]
        yield access_pb2.GrantedPermission(
            permission=permission, department_ids=() if "" in department_ids else sorted(department_ids)
        )


class GrantPublisher:
    """Puts what was marked into the bucket: one replica at a time does, whichever `owns` says it may."""

    def __init__(self, database: Database, connection: Client, owns: Callable[[], bool]) -> None:
        self._database, self._owns = database, owns
        self._bus, self._stream = connection, connection.jetstream()
        self._woken = asyncio.Event()
        self._checked: int | None = None

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            for _ in until_cancelled():
                try:
                    await self.publish()
                except Exception as error:
                    # the marks are safe in the table: the only way on is to try again
                    log.warning("grants: not published, trying again: %s", error or type(error).__name__)
                    await asyncio.sleep(PAUSE_SECONDS)
                await wait_at_most(self._woken, LOOK_SECONDS)
                self._woken.clear()
        finally:
            with contextlib.suppress(Exception):  # what was committed last; else whoever comes next does it
                async with asyncio.timeout(FINISH_SECONDS):
                    await self._publish_marked()

    async def publish(self) -> None:
        """What is marked now, if it is this replica's turn; at first, and when the bus was away, what was lost, too."""
        await self._publish_marked()
        connected = self._bus.stats["reconnects"]
        if self._owns() and self._checked != connected:
            await self._check_bucket()
            self._checked = connected
            await self._publish_marked()

    async def _publish_marked(self) -> None:
        while self._owns():
            window = await self._database.read(_next_window)
            if not window:
                return
            sequences = await asyncio.gather(*(self._put(*each) for each in window.items()))
            done = [
                {"wanted": account_id, "published": grant.version, "at": sequence}
                for (account_id, grant), sequence in zip(window.items(), sequences, strict=True)
            ]
            await self._database.write(partial(_note, done=done))

    async def _put(self, account_id: str, grant: access_pb2.Grant | access_pb2.Joining) -> int:
        ack = await self._stream.publish(to_subject(account_id), grant.SerializeToString(), timeout=ACK_SECONDS)
        return ack.seq

    async def _check_bucket(self) -> None:
        """The newest value is the one that was published last; else all are written again, also those of accounts of
        which the tables know nothing: they may come from a backup."""
        if await self._last() == await self._database.read(_last_published):
            return
        log.warning("grants: the bucket is not as it was left: it is written again")
        there = [account_id async for account_id in self._there()]
        await self._database.write(partial(_mark_all, there=there))

    async def _last(self) -> int:
        """The number of the newest value; 0 when there is none."""
        try:
            return (await self._stream.get_msg(STREAM, subject=SUBJECT)).seq or 0
        except NotFoundError as error:
            if error.err_code != NO_FURTHER:  # there is no bucket
                raise
            return 0

    async def _there(self) -> AsyncIterator[str]:
        """The accounts that have a value."""
        seq = 0
        with contextlib.suppress(NotFoundError):
            while True:
                found = await self._stream.get_msg(STREAM, seq=seq + 1, subject=SUBJECT, next=True)
                yield to_account_id(found.subject or "")
                seq = found.seq or seq + 1


def _next_window(connection: Connection) -> dict[str, access_pb2.Grant | access_pb2.Joining]:
    some = sa.select(g.account_id).where(g.waiting).order_by(g.account_id).limit(WINDOW)
    marked = {*connection.scalars(some)}
    strangers = {STRANGERS: joining.told(connection)} if STRANGERS in marked else {}
    return {**compute(connection, marked - {STRANGERS}), **strangers}


def _note(connection: Connection, done: list[dict[str, object]]) -> None:
    """Whoever published what is not the newest any more, however late, has it published again."""
    version = sa.bindparam("published", type_=sa.BigInteger)
    values = {"waiting": g.version != version, "sequence": sa.bindparam("at", type_=sa.BigInteger)}
    connection.execute(sa.update(MEMBER_GRANT).where(g.account_id == sa.bindparam("wanted")).values(values), done)


def _last_published(connection: Connection) -> int:
    """The number that it got in the bucket; 0 when nothing was published yet."""
    return connection.scalar(sa.select(sa.func.max(g.sequence))) or 0


def _mark_all(connection: Connection, there: Iterable[str]) -> None:
    mark(connection, {*there, *connection.scalars(sa.select(g.account_id))})


def mark_built_in(connection: Connection) -> None:
    """At start: what a built-in role permits may have changed with the program."""
    mark_holders(connection, [*BUILT_IN])
