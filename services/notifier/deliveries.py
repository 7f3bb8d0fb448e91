"""The delivery log: what is queued, claimed before it is sent and settled after, with every attempt. Here is its SQL.

A lease that ends unsettled is claimed again: then the notice may repeat.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col
from yunhui.notifier.v1 import delivery_pb2 as pb
from yunhui.notifier.v1.events_pb2 import DeliveryEvent

from services.notifier.channels import ANSWER_LENGTH, MAIL, WEBHOOK, DeliveryClaim, SendResult, SendVerdict
from services.notifier.models import AttemptRow, DeadEvent, DeadEventState, Delivery, DeliveryState
from services.platform.clock import Clock, to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database, ForEach, Insert
from services.platform.ids import new_id
from services.platform.messaging import outbox
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json
from services.platform.observing import metrics, traces
from services.platform.serving import errors
from services.platform.text.messages import message

TABLE = SQLModel.metadata.tables[str(Delivery.__tablename__)]
ATTEMPT = SQLModel.metadata.tables[str(AttemptRow.__tablename__)]
QUEUED = metrics.gauge("yunhui_notifier_queued", "deliveries that wait", "channel")
OLDEST = metrics.gauge("yunhui_notifier_oldest_seconds", "how long the oldest of them has been due; 0: none", "channel")
DEAD = metrics.gauge("yunhui_notifier_dead_events", "events that nobody has dealt with since they could not be read")
_INSERT = Insert(TABLE)
LOG = [column for column in TABLE.c if column.name != "content"]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One notice to one recipient, ready to go. `content` is exactly what every attempt sends."""

    event_id: str
    channel: str
    kind: str
    recipient: str
    account_id: str
    reservation_id: str
    message_id: str
    content: bytes
    expire_time: int = 0
    """Epoch ms from which on it is of no use to anybody; 0: it always is."""
    addressee: str = ""
    """The account that a mail is written to; "" for support's mails and for webhooks."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; empty fields ask for all. `before_key` is the last delivery_id of the page before.
    `addressee` sees only the mails that were written to them."""

    addressee: str = ""
    reservation_id: str = ""
    account_id: str = ""
    kind: str = ""
    channel: str = ""
    states: Sequence[str] = ()
    before_key: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Settlement:
    """How the attempt of a claim went. `due` (epoch ms) is the next one; None when there is none.

    `record` is what the channel keeps of it, in the same transaction.
    """

    claim: DeliveryClaim
    answer: SendResult
    due: int | None
    record: Callable[[Connection], None] = lambda _: None
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What was claimed, and when there may be more (epoch ms); None when nothing more is queued."""

    claims: Sequence[DeliveryClaim]
    next_look: int | None


NOTHING = Turn((), None)


def to_rows(new_deliveries: Iterable[NewDelivery], now: int) -> list[dict[str, Any]]:
    """What `enqueue` stores: part of the trace that is under way here. Of two alike in one event, one goes."""
    unique = {(each.event_id, each.channel, each.kind, each.recipient): each for each in new_deliveries}
    return [_row(each, now) for each in unique.values()]


def enqueue(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """In the transaction that takes their events in."""
    _INSERT.execute(connection, rows)


def untried(connection: Connection, reservation_id: str, kind: str) -> Sequence[sa.Row[Any]]:
    """Mails of a kind that nobody has tried to send, locked until the transaction ends. `kind` may have a number."""
    c = TABLE.c
    of_kind = (c.kind == kind) | c.kind.like(f"{kind}-%")
    mine = (c.reservation_id == reservation_id) & (c.channel == MAIL) & of_kind
    new = (c.state == DeliveryState.QUEUED) & (c.attempts == 0) & (c.lease_end == 0)
    query = sa.select(*(c[name] for name in ("delivery_id", "event_id", "kind", "recipient"))).where(mine, new)
    return connection.execute(query.with_for_update()).all()


def rewrite(connection: Connection, delivery_id: str, content: bytes) -> None:
    """Of one that is untried: all attempts send the same."""
    connection.execute(sa.update(TABLE).where(TABLE.c.delivery_id == delivery_id).values(content=content))


def take_back(connection: Connection, delivery_ids: Sequence[str]) -> None:
    """Of those that are untried: there is nothing to say any more."""
    if delivery_ids:
        connection.execute(sa.delete(TABLE).where(TABLE.c.delivery_id.in_(delivery_ids)))


def _row(new_delivery: NewDelivery, now: int) -> dict[str, Any]:
    values = {name: getattr(new_delivery, name) for name in NewDelivery.__slots__}
    times = dict.fromkeys(("due_time", "first_time", "create_time", "update_time"), now)
    return {"delivery_id": new_id("dlv"), **values, **times, **EMPTY, "traceparent": traces.current() or None}


EMPTY: dict[str, Any] = {
    "state": DeliveryState.QUEUED.value,
    "attempts": 0,
    "code": 0,
    "answer": "",
    "event_seq": 0,
    "kept": True,
    "lease_end": 0,
}


class Deliveries:
    """`published` is told when events about deliveries wait in the outbox."""

    def __init__(
        self, database: Database, clock: Clock, lease_ms: int, published: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease_ms = lease_ms
        self._published = published

    async def turn(
        self, channel: str, settlements: Sequence[Settlement] = (), wanted: int = 0, without: Collection[str] = ()
    ) -> Turn:
        """Stores how attempts went and ends their leases; then claims at most `wanted`. All in one transaction.

        Claimed are those that have been due longest, one for each recipient, and none for those in `without`.
        """
        now = self._clock.now()

        def work(connection: Connection) -> Turn:
            if settlements:
                _settle(connection, settlements, now)
            return _claim(connection, channel, wanted, without, now, self._lease_ms) if wanted else NOTHING

        turn = await self._database.write(work)
        if settlements:
            self.announce()
        return turn

    def announce(self) -> None:
        """Events about deliveries may wait in the outbox."""
        self._published()

    async def resend(self, delivery_id: str, by: audit.Caller | None = None) -> sa.Row[Any]:
        """Queues it again, due now. Raises errors.RpcError. `by`: noted as who did it."""
        now = self._clock.now()

        def describe(row: sa.Row[Any]) -> audit.AuditEntry | None:
            about = {"kind": row.kind}
            return audit.AuditEntry(by, "delivery", delivery_id, row.account_id, str(row.state), about) if by else None

        return await self._database.write(audit.audited(lambda c: _resend(c, delivery_id, now), describe))

    async def list(self, wanted: DeliveryFilter) -> Sequence[sa.Row[Any]]:
        return await self._database.read(lambda c: _list(c, wanted))

    async def get(self, delivery_id: str) -> tuple[sa.Row[Any], Sequence[sa.Row[Any]]]:
        """The delivery and its attempts in order. Raises errors.not_found."""

        def work(connection: Connection) -> tuple[sa.Row[Any], Sequence[sa.Row[Any]]]:
            attempts = sa.select(ATTEMPT).where(ATTEMPT.c.delivery_id == delivery_id).order_by(ATTEMPT.c.number)
            return _get(connection, delivery_id), connection.execute(attempts).all()

        return await self._database.read(work)

    async def figures(self) -> None:
        """Sets the gauges from what is stored."""
        queued, dead = await self._database.read(read_figures)
        now = self._clock.now()
        DEAD.set(to=dead)
        for channel in (MAIL, WEBHOOK):
            number, due = queued.get(channel, (0, now))
            QUEUED.set(channel, to=number)
            OLDEST.set(channel, to=max(0, now - due) / 1000)

    async def forget(self, keep_ms: int) -> None:
        """Removes the content, which is personal data, of what was settled longer ago."""
        before = self._clock.now() - keep_ms
        old = (TABLE.c.kept, TABLE.c.update_time < before, TABLE.c.state != DeliveryState.QUEUED)
        forget = sa.update(TABLE).where(*old).values(content=b"", kept=False)
        if await self._database.read(lambda c: c.scalar(sa.select(sa.exists().where(*old)))):
            await self._database.write(lambda c: c.execute(forget))


def read_figures(connection: Connection) -> tuple[dict[str, tuple[int, int]], int]:
    """By channel how many wait, and since when the oldest is due (epoch ms); and how many dead events are open."""
    c = TABLE.c
    waiting = sa.select(c.channel, sa.func.count(), sa.func.min(c.first_time)).where(
        c.state == sa.literal_column("'queued'")
    )
    queued = {channel: (number, due) for channel, number, due in connection.execute(waiting.group_by(c.channel))}
    open_ = sa.select(sa.func.count()).where(col(DeadEvent.state) == DeadEventState.OPEN)
    return queued, connection.scalar(open_) or 0


def count_failed(connection: Connection, since: int) -> int:
    """Mails that a server has refused for good since then."""
    failed = (TABLE.c.state == DeliveryState.FAILED) & (TABLE.c.update_time >= since)
    return connection.scalar(sa.select(sa.func.count()).where(failed)) or 0


def fail_queued(connection: Connection, recipient: str, reason: str, now: int) -> None:
    """Gives up all that waits for a recipient."""
    mine = (TABLE.c.recipient == recipient, TABLE.c.state == DeliveryState.QUEUED)
    _finish(connection, DeliveryState.FAILED, {"answer": reason}, now, *mine)


# Prepared, since they run for every mail

_FREE = "(lease_end <= :now OR lease_end > :unbelievable)"
_FREE_AT = f"CASE WHEN {_FREE} OR lease_end < due_time THEN due_time ELSE lease_end END"
_TO_OTHERS = "channel = :channel AND state = 'queued' AND recipient NOT IN ({0})"


class DueRow(NamedTuple):
    """What a claim takes of a delivery."""

    delivery_id: str
    attempts: int
    lease_end: int
    event_id: str
    channel: str
    kind: str
    recipient: str
    message_id: str
    content: bytes
    first_time: int
    expire_time: int
    traceparent: str | None


_DUE = (
    f"SELECT {', '.join(DueRow._fields)} FROM delivery"  # noqa: S608 - made of constants
    f" WHERE {_TO_OTHERS} AND due_time <= :now AND {_FREE} ORDER BY due_time, delivery_id LIMIT :wanted"
)
_SELECT_DUE = {
    "sqlite": ForEach(_DUE, ":recipient{0}", ", ", "recipient"),
    "postgresql": ForEach(f"{_DUE} FOR UPDATE SKIP LOCKED", ":recipient{0}", ", ", "recipient"),
}
_SELECT_NEXT = ForEach(
    f"SELECT min({_FREE_AT}) FROM delivery WHERE {_TO_OTHERS}",  # noqa: S608 - made of constants
    *(":recipient{0}", ", ", "recipient"),
)
_LEASE = ForEach(
    "UPDATE delivery SET attempts = attempts + 1, lease_end = :lease_end WHERE delivery_id IN ({0}) RETURNING 1",
    *(":delivery_id{0}", ", ", "delivery_id"),
)
# There is one already when the lease ended before the answer came: "unknown"
_RECORD = ForEach(
    "INSERT INTO attempt (delivery_id, number, time, verdict, code, answer) VALUES {0}"
    " ON CONFLICT (delivery_id, number) DO UPDATE"
    " SET time = excluded.time, verdict = excluded.verdict, code = excluded.code, answer = excluded.answer RETURNING 1",
    "(:delivery_id{0}, :number{0}, :time{0}, :verdict{0}, :code{0}, :answer{0})",
    ", ",
    *("delivery_id", "number", "time", "verdict", "code", "answer"),
    distinct=True,
)
_SENT = (
    "UPDATE delivery SET state = 'sent', code = told.column2, answer = told.column3, lease_end = 0, update_time = :now,"
    " event_seq = event_seq + 1 FROM (VALUES {0}) AS told WHERE delivery_id = told.column1 AND state <> 'sent'"
)
_LOGGED = [column.name for column in LOG]
_MARK_SENT = ForEach(
    f"{_SENT} RETURNING {', '.join(_LOGGED)}",
    "(:delivery_id{0}, :code{0}, :answer{0})",
    ", ",
    *("delivery_id", "code", "answer"),
)


def _claim(
    connection: Connection, channel: str, wanted: int, without: Collection[str], now: int, lease_ms: int
) -> Turn:
    """A lease that ends unbelievably late was given by a clock that was ahead, more than replicas' ever differ."""
    bounds = {"channel": channel, "now": now, "unbelievable": now + 2 * lease_ms}
    select = _SELECT_DUE[connection.dialect.name]
    due = [DueRow(*row) for row in select.execute(connection, _recipients(without), **bounds, wanted=wanted)]
    first = {row.recipient: row for row in reversed(due)}
    rows = [row for row in due if first[row.recipient] is row]
    unknown = SendResult(SendVerdict.UNKNOWN, 0, "the sender ended before the answer was stored")
    abandoned = [
        _attempt(row.delivery_id, row.attempts, unknown, min(row.lease_end, now)) for row in rows if row.lease_end
    ]
    _RECORD.execute(connection, abandoned)
    _LEASE.execute(connection, [(row.delivery_id,) for row in rows], lease_end=now + lease_ms)
    if len(due) == wanted:
        return Turn([_to_claim(row) for row in rows], now)
    busy = _recipients([*without, *first])
    return Turn([_to_claim(row) for row in rows], _SELECT_NEXT.execute(connection, busy, **bounds)[0][0])


def _recipients(names: Collection[str]) -> list[tuple[str]]:
    """As a statement takes them, which wants at least one; "" is nobody."""
    return [(name,) for name in names] or [("",)]


def _to_claim(row: DueRow) -> DeliveryClaim:
    return DeliveryClaim(
        delivery_id=row.delivery_id,
        number=row.attempts + 1,
        event_id=row.event_id,
        channel=row.channel,
        kind=row.kind,
        recipient=row.recipient,
        message_id=row.message_id,
        content=row.content,
        first_time=row.first_time,
        expire_time=row.expire_time,
        traceparent=row.traceparent or "",
    )


def _settle(connection: Connection, settlements: Sequence[Settlement], now: int) -> None:
    """An answer that comes after the lease counts only when it is yes: the attempt that came after it has the say."""
    attempts = [_attempt(each.claim.delivery_id, each.claim.number, each.answer, now) for each in settlements]
    _RECORD.execute(connection, attempts)
    accepted = {each.claim.delivery_id: each for each in settlements if each.answer.verdict is SendVerdict.ACCEPTED}
    if accepted:
        told = [(delivery_id, each.answer.code, _text(each.answer)) for delivery_id, each in accepted.items()]
        rows = _MARK_SENT.execute(connection, told, now=now)
        sent: list[Any] = [SimpleNamespace(**dict(zip(_LOGGED, row, strict=True))) for row in rows]
        outbox.append(connection, [_event(row, now, accepted[row.delivery_id].traceparent) for row in sent])
    for each in settlements:
        if each.answer.verdict is not SendVerdict.ACCEPTED:
            _put_off(connection, each, now)
    for each in sorted(
        settlements, key=lambda each: each.claim.recipient
    ):  # in one order, for replicas that take turns
        each.record(connection)


def _attempt(delivery_id: str, number: int, answer: SendResult, time: int) -> tuple[str, int, int, str, int, str]:
    return delivery_id, number, time, answer.verdict.value, answer.code, _text(answer)


def _text(answer: SendResult) -> str:
    """Foreign text as every database takes it."""
    return answer.text.replace("\0", "").encode(errors="replace").decode()[:ANSWER_LENGTH]


def _put_off(connection: Connection, settlement: Settlement, now: int) -> None:
    """Until its next attempt, or for good."""
    claim, answer, due = settlement.claim, settlement.answer, settlement.due
    told = {"code": answer.code, "answer": _text(answer)}
    c = TABLE.c
    current = (c.delivery_id == claim.delivery_id, c.state == DeliveryState.QUEUED, c.attempts == claim.number)
    if due is None:
        _finish(connection, DeliveryState.FAILED, told, now, *current)
    else:
        values = {**told, "due_time": due, "lease_end": 0, "update_time": now}
        connection.execute(sa.update(TABLE).where(*current).values(**values))


def _finish(
    connection: Connection, state: DeliveryState, told: dict[str, Any], now: int, *which: sa.ColumnElement[bool]
) -> None:
    """Final, with an event for each."""
    ids = connection.execute(sa.select(TABLE.c.delivery_id).where(*which).with_for_update()).scalars().all()
    if not ids:
        return
    values = {**told, "state": state, "lease_end": 0, "update_time": now, "event_seq": TABLE.c.event_seq + 1}
    connection.execute(sa.update(TABLE).where(*which).values(**values))
    for start in range(0, len(ids), 500):
        rows = connection.execute(sa.select(*LOG).where(TABLE.c.delivery_id.in_(ids[start : start + 500])))
        outbox.append(connection, [_event(row, now) for row in rows])


def _event(row: sa.Row[Any], now: int, traceparent: str = "") -> Event:
    delivery = to_message(row)
    delivery.ClearField("recipient")
    delivery.ClearField("answer")
    payload = to_json(DeliveryEvent(delivery=delivery))
    subject = f"yunhui.notifier.delivery.{row.state}"
    return Event(new_id("evt"), subject, row.delivery_id, row.event_seq, now, payload, traceparent)


def _get(connection: Connection, delivery_id: str, *, lock: bool = False) -> sa.Row[Any]:
    query = sa.select(*LOG).where(TABLE.c.delivery_id == delivery_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise errors.not_found("delivery", message("there is no such delivery"))
    return row


def _resend(connection: Connection, delivery_id: str, now: int) -> sa.Row[Any]:
    row = _get(connection, delivery_id, lock=True)
    if row.state == DeliveryState.QUEUED:
        words = message("it waits for its next attempt already: see due_time")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "DELIVERY_QUEUED", words)
    if not row.kept:
        words = message("what it said is kept no longer, to protect personal data: it cannot be sent again")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "CONTENT_FORGOTTEN", words)
    values = {"state": DeliveryState.QUEUED, "due_time": now, "first_time": now, "lease_end": 0, "update_time": now}
    connection.execute(sa.update(TABLE).where(TABLE.c.delivery_id == delivery_id).values(**values))
    return _get(connection, delivery_id)


def _list(connection: Connection, wanted: DeliveryFilter) -> Sequence[sa.Row[Any]]:
    query = sa.select(*LOG).order_by(TABLE.c.delivery_id.desc()).limit(wanted.limit)
    for name in ("addressee", "reservation_id", "account_id", "kind", "channel"):
        if value := getattr(wanted, name):
            query = query.where(TABLE.c[name] == value)
    if wanted.states:
        query = query.where(TABLE.c.state.in_(wanted.states))
    if wanted.before_key:
        query = query.where(TABLE.c.delivery_id < wanted.before_key)
    return connection.execute(query).all()


def to_message(row: sa.Row[Any]) -> pb.Delivery:
    message = pb.Delivery(
        delivery_id=row.delivery_id,
        event_id=row.event_id,
        channel=pb.Channel.Value(f"CHANNEL_{row.channel.upper()}"),
        kind=row.kind,
        recipient=row.recipient,
        account_id=row.account_id,
        reservation_id=row.reservation_id,
        message_id=row.message_id,
        state=pb.DeliveryState.Value(f"DELIVERY_STATE_{row.state.upper()}"),
        attempt_count=row.attempts,
        code=row.code,
        answer=row.answer,
        create_time=to_timestamp(row.create_time),
        update_time=to_timestamp(row.update_time),
        resendable=row.kept and row.state != DeliveryState.QUEUED,
    )
    if row.state == DeliveryState.QUEUED:
        message.due_time.CopyFrom(to_timestamp(row.due_time))
    return message


def to_attempt(row: sa.Row[Any]) -> pb.Attempt:
    return pb.Attempt(
        number=row.number,
        time=to_timestamp(row.time),
        verdict=pb.AttemptVerdict.Value(f"ATTEMPT_VERDICT_{row.verdict.upper()}"),
        code=row.code,
        answer=row.answer,
    )
