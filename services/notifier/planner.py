"""Notices at a time of their own: the reminder before a start and the daily digest. Sleeps until the next is due."""

import asyncio
import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection
from yunhui.booking.v1.events_pb2 import ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Reservation
from yunhui.policy.v1.decision_pb2 import Decision, Obligation

from services.notifier import deliveries, scheduled_notices, support_cases
from services.notifier.events import BookingEvent
from services.notifier.messages import Composer, Message
from services.notifier.models import NoticeState, ScheduledNotice, SupportCase
from services.notifier.scheduled_notices import NewNotice
from services.notifier.values import Digest, OpenCase
from services.platform.clock import DAY, MINUTE, SECOND, Clock, from_timestamp, wait_until
from services.platform.data.database import Database
from services.platform.messaging.proto_json import from_json, to_json
from services.platform.tasks import run_forever

log = logging.getLogger(__name__)

About = tuple[str, str]
"""Account and reservation that a mail is about; empty where there is none."""

PAGE = 8
AGAIN_MS = MINUTE
RECHECK_MS = MINUTE  # a replica that died may have planned what this one was not told of
RETRY_SECONDS = 1.0

HOLDS = {"reservation.confirmed", "reservation.approved", "reservation.updated", "reservation.handed_over"}
ENDS = {"reservation.in_use", "reservation.completed", "reservation.cancelled", "reservation.released"}
ANSWERS = {
    "reservation.approved",
    "reservation.declined",
    "reservation.expired",
    "reservation.cancelled",
    "reservation.updated",
}


@dataclass(frozen=True, slots=True)
class NoticeBatch:
    """Mails of one source, to be queued."""

    source_id: str
    messages: Sequence[Message]
    about: About = ("", "")
    expire_time: int = 0
    """Epoch ms from which on they are of no use to anybody; 0: they always are."""


Queue = Callable[[Connection, NoticeBatch], None]
"""Queues the mails in the transaction in which the notice is taken off the table."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When planned notices are due. `lead_ms` 0: no reminders; `digest` None: no digest."""

    lead_ms: int
    digest: time | None
    zone: ZoneInfo

    def next_digest(self, now: int) -> int | None:
        """Epoch ms, later than `now`."""
        if self.digest is None:
            return None
        today = datetime.fromtimestamp(now / SECOND, self.zone).date()
        moments = (datetime.combine(today + timedelta(days), self.digest, self.zone) for days in (0, 1, 2))
        return next(due for due in (int(moment.timestamp()) * SECOND for moment in moments) if due > now)


class Planner:
    """Is told of every event that is taken in, and says later what is to be said later."""

    def __init__(self, database: Database, clock: Clock, composer: Composer, timetable: Timetable) -> None:
        self._database = database
        self._clock = clock
        self._composer = composer
        self._timetable = timetable
        self._woken = asyncio.Event()
        self._next = math.inf
        """Until when it sleeps, epoch ms; while it does not, anything planned makes it look again."""
        self._soonest = math.inf
        """The earliest notice planned since it last looked."""

    def plan(self, connection: Connection, events: Iterable[BookingEvent], now: int) -> None:
        """Plans the reminders that follow from events, in the transaction that takes them in; again, it changes
        nothing. Call `wake` after the commit.
        """
        planned = [notice for event in events if (notice := self._reminder(event, now))]
        scheduled_notices.schedule(connection, planned)
        waiting = [notice.due_at for notice in planned if notice.state == NoticeState.WAITING]
        self._soonest = min([self._soonest, *waiting])

    def _reminder(self, event: BookingEvent, now: int) -> NewNotice | None:
        """Whoever books or moves within the lead has just read the mail about it: no reminder then."""
        if not isinstance(event.body, ReservationEvent):
            return None
        record = event.body.reservation
        if not self._timetable.lead_ms or event.type not in HOLDS | ENDS or not record.HasField("room"):
            return None
        due = from_timestamp(record.start_time) - self._timetable.lead_ms
        waits = event.type in HOLDS and due > now
        payload = to_json(ReservationEvent(reservation=record)) if waits else ""
        state = NoticeState.WAITING if waits else NoticeState.VOID
        return NewNotice(
            kind=scheduled_notices.REMINDER,
            entity_id=record.reservation_id,
            version=record.version,
            state=state.value,
            due_at=due,
            event_id=event.event_id,
            payload=payload,
        )

    def wake(self) -> None:
        """What was planned is committed: sleeps no longer than until it is due."""
        if self._soonest < self._next:
            self._woken.set()

    async def run(self, queue: Queue, queued: Callable[[], None]) -> None:
        """Until cancelled. `queued` is told when there are mails to be sent."""
        prepared = False

        async def take_turn() -> None:
            nonlocal prepared
            self._woken.clear()
            self._next = self._soonest = math.inf
            if not prepared:
                await self._prepare()
                prepared = True
            await self.catch_up(queue, queued)
            await self._sleep_until(await self._database.read(scheduled_notices.read_next))

        await run_forever(take_turn, "planned notices", RETRY_SECONDS)

    async def _prepare(self) -> None:
        now = self._clock.now()
        due = self._timetable.next_digest(now)

        def work(connection: Connection) -> None:
            scheduled_notices.schedule_digest(connection, due, now)
            prune(connection, now)

        await self._database.write(work)

    async def _sleep_until(self, due: int | None) -> None:
        recheck = self._clock.now() + RECHECK_MS
        self._next = until = min(due, recheck) if due is not None else recheck
        await wait_until(until, self._woken, self._clock)

    async def catch_up(self, queue: Queue, queued: Callable[[], None]) -> None:
        """Queues everything that is due. Raises what keeps the store away."""
        while page := await self._database.read(lambda c: scheduled_notices.read_due(c, self._clock.now(), PAGE)):
            for notice in page:
                await self._attend(notice, queue)
            queued()

    async def _attend(self, notice: ScheduledNotice, queue: Queue) -> None:
        try:
            batches = await (self._digest(notice) if notice.kind == scheduled_notices.DIGEST else self._remind(notice))
        except Exception as error:
            # only the type is told: the text could quote the event
            log.error("planned %s %d: %s: trying again later", notice.kind, notice.id, type(error).__name__)
            again = self._clock.now() + AGAIN_MS
            await self._database.write(lambda c: scheduled_notices.postpone(c, notice, again))
            return

        def work(connection: Connection) -> None:
            if self._take_off(connection, notice):
                for batch in batches:
                    queue(connection, batch)

        await self._database.write(work)

    def _take_off(self, connection: Connection, notice: ScheduledNotice) -> bool:
        """Taken off, in one transaction with what it says: whoever is second finds nothing to do."""
        now = self._clock.now()
        following = self._timetable.next_digest(now) if notice.kind == scheduled_notices.DIGEST else None
        if following is None:
            return scheduled_notices.finish(connection, notice)
        prune(connection, now)
        return scheduled_notices.repeat(connection, notice, following)

    async def _remind(self, notice: ScheduledNotice) -> list[NoticeBatch]:
        """Noticed only after the start, for example after a stop, it would be of no use to anybody."""
        body = from_json(notice.payload, ReservationEvent)
        record = body.reservation
        start = from_timestamp(record.start_time)
        if self._clock.now() >= start:
            return []
        moment = datetime.fromtimestamp(notice.due_at / SECOND, UTC)
        messages = self._composer.remind(notice.event_id, body, moment)
        return [NoticeBatch(notice.event_id, messages, (record.organizer.account_id, record.reservation_id), start)]

    async def _digest(self, notice: ScheduledNotice) -> list[NoticeBatch]:
        """One mail to each address with something open, named by the day."""
        now = self._clock.now()
        cases, failed = await self._database.read(
            lambda c: (support_cases.read_answerable(c, now), deliveries.count_failed(c, now - DAY))
        )
        day = datetime.fromtimestamp(notice.due_at / SECOND, self._timetable.zone).date()
        batches = []
        for address in dict.fromkeys(address for case in cases for address in case.asked):
            mine = [to_open_case(case) for case in cases if address in case.asked]
            source_id = f"digest-{day}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
            batches.append(NoticeBatch(source_id, self._composer.digest(source_id, Digest(address, now, mine, failed))))
        return batches


def put_before_support(connection: Connection, event: BookingEvent) -> Sequence[str]:
    """Opens or ends the case that an event is about, in the transaction that takes it in; again, it changes nothing.

    The addresses of support that had the reservation before them already.
    """
    if not isinstance(event.body, ReservationEvent) or not event.body.HasField("reservation"):
        return []
    record = event.body.reservation
    if case := to_case(event, event.body):
        return support_cases.open_case(connection, case)
    if event.type not in ANSWERS or record.version <= 1:
        return []
    return support_cases.close_case(connection, record.reservation_id, record.version, event.event_id)


def prune(connection: Connection, now: int) -> None:
    """Forgets what is long over."""
    scheduled_notices.prune(connection, now)
    support_cases.prune(connection, now)


def is_before_support(event: BookingEvent) -> bool:
    """Whether it leaves a request with support, to be decided."""
    asks = event.type in {"reservation.pending_approval", "reservation.updated", "reservation.handed_over"}
    return asks and isinstance(event.body, ReservationEvent) and not event.body.reservation.HasField("room")


def to_case(event: BookingEvent, body: ReservationEvent) -> SupportCase | None:
    """The case that an event puts before support; None for any other."""
    record = body.reservation
    if not is_before_support(event):
        return None
    notices = [each for each in body.decision.obligations if each.kind == Obligation.KIND_NOTIFY_SUPPORT]
    payload = to_json(ReservationEvent(reservation=record))
    opened = int(event.time.timestamp() * SECOND)
    addresses = list(dict.fromkeys(notice.address for notice in notices))
    return SupportCase(
        reservation_id=record.reservation_id,
        version=record.version,
        addresses="\n".join(addresses),
        open_time=opened,
        cutoff=_cutoff(record, body.decision),
        payload=payload,
    )


def to_open_case(case: SupportCase) -> OpenCase:
    body = from_json(case.payload, ReservationEvent)
    return OpenCase(body.reservation, case.open_time, case.cutoff)


def _cutoff(record: Reservation, decision: Decision) -> int:
    spans = [each.seconds for each in decision.obligations if each.kind == Obligation.KIND_EXPIRE_ESCALATION]
    return from_timestamp(record.start_time) - max(spans) * SECOND if spans else 0
