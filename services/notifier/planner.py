"""Notices at a time of their own: the reminder before a start and the daily digest. Sleeps until the next is due."""

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from google.protobuf import json_format
from sqlalchemy.engine import Connection
from yunhui.booking.v1.events_pb2 import ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Reservation
from yunhui.policy.v1.decision_pb2 import Decision, Obligation

from services.clock import DAY, MINUTE, SECOND, Clock, from_timestamp
from services.database import Database
from services.notifier import agenda
from services.notifier.agenda import Case, Due, Plan
from services.notifier.events import Event
from services.notifier.messages import Composer, Message
from services.notifier.models import PlannedState
from services.notifier.values import Digest, OpenCase

log = logging.getLogger(__name__)

Deliver = Callable[[str, Sequence[Message]], Awaitable[bool]]
"""Takes the mails of one source to their people; False when some must be tried again. Sends none twice."""

AT_ONCE = 8
LEASE_MS = 2 * MINUTE  # longer than sending takes at most, and than the lease of the mail itself
AGAIN_MS = MINUTE
RECHECK_MS = MINUTE  # a replica that died may have planned what this one was not told of
RETRY_SECONDS = 1.0

HOLDS = {"reservation.confirmed", "reservation.approved", "reservation.updated"}
ENDS = {"reservation.in_use", "reservation.completed", "reservation.cancelled", "reservation.released"}
ANSWERS = {
    "reservation.approved",
    "reservation.declined",
    "reservation.expired",
    "reservation.cancelled",
    "reservation.updated",
}


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
    """Is told of every event by the courier, and says later what is to be said later."""

    def __init__(self, database: Database, clock: Clock, composer: Composer, timetable: Timetable) -> None:
        self._database = database
        self._clock = clock
        self._composer = composer
        self._timetable = timetable
        self._woken = asyncio.Event()
        self._next = math.inf
        """Until when it sleeps, epoch ms; while it does not, anything planned makes it look again."""

    async def note(self, event: Event) -> Sequence[str]:
        """Plans what follows from an event; telling it again changes nothing.

        The addresses of support that had the reservation before them until now. Raises what keeps the store away.
        """
        if not isinstance(event.body, ReservationEvent) or not event.body.HasField("reservation"):
            return []
        body, now = event.body, self._clock.now()
        planned, asked = self._reminder(event, body, now), to_case(event, body)
        ends = event.type in ANSWERS and body.reservation.version > 1 and not asked

        def work(connection: Connection) -> list[str]:
            if planned:
                agenda.plan(connection, planned)
            if asked:
                agenda.open_case(connection, asked)
            record = body.reservation
            return agenda.close_case(connection, record.reservation_id, record.version, event.event_id) if ends else []

        if not (planned or asked or ends):
            return []
        addresses = await self._database.write(work)
        if planned and planned.state == PlannedState.WAITING and planned.due_at < self._next:
            self._woken.set()
        return addresses

    def _reminder(self, event: Event, body: ReservationEvent, now: int) -> Plan | None:
        """Whoever books or moves within the lead has just read the mail about it: no reminder then."""
        record = body.reservation
        if not self._timetable.lead_ms or event.type not in HOLDS | ENDS or not record.HasField("room"):
            return None
        due = from_timestamp(record.start_time) - self._timetable.lead_ms
        waits = event.type in HOLDS and due > now
        payload = json_format.MessageToJson(ReservationEvent(reservation=record), indent=None) if waits else ""
        state = PlannedState.WAITING if waits else PlannedState.VOID
        return Plan(agenda.REMINDER, record.reservation_id, record.version, due, event.event_id, payload, state)

    async def run(self, deliver: Deliver) -> None:
        """Until cancelled; what is being sent then is finished."""
        prepared = False
        while True:
            self._woken.clear()
            self._next = math.inf
            try:
                if not prepared:
                    await self._prepare()
                    prepared = True
                await self.catch_up(deliver)
                earliest = await self._database.read(agenda.read_next)
            except Exception as error:
                log.warning("planned notices: trying again: %s", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._sleep_until(earliest)

    async def _prepare(self) -> None:
        now = self._clock.now()
        due = self._timetable.next_digest(now)

        def work(connection: Connection) -> None:
            agenda.prepare_digest(connection, due, now)
            agenda.prune(connection, now)

        await self._database.write(work)

    async def _sleep_until(self, due: int | None) -> None:
        """Looks at the clock, which can jump, and not at the database."""
        recheck = self._clock.now() + RECHECK_MS
        self._next = until = min(due, recheck) if due is not None else recheck
        while (now := self._clock.now()) < until:
            left = (until - now) / SECOND
            try:
                await asyncio.wait_for(self._woken.wait(), min(left, self._clock.patience))
            except TimeoutError:
                continue
            return

    async def catch_up(self, deliver: Deliver) -> None:
        """Sends everything that is due. Raises what keeps the store away."""
        while page := await self._database.read(lambda c: agenda.read_due(c, self._clock.now(), AT_ONCE)):
            sending = asyncio.gather(*(self._attend(due, deliver) for due in page))
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                await sending
                raise

    async def _attend(self, due: Due, deliver: Deliver) -> None:
        held = await self._database.write(lambda c: agenda.claim(c, due, self._clock.now() + LEASE_MS))
        if held is None:
            return
        try:
            settled = await (self._digest(held, deliver) if held.kind == agenda.DIGEST else self._remind(held, deliver))
        except Exception as error:
            log.error("planned %s %d: %s: trying again later", held.kind, held.plan_id, type(error).__name__)
            settled = False
        await self._database.write(lambda c: self._note_attempt(c, held, settled))

    def _note_attempt(self, connection: Connection, held: Due, settled: bool) -> None:
        now = self._clock.now()
        following = self._timetable.next_digest(now) if held.kind == agenda.DIGEST else None
        if not settled:
            agenda.postpone(connection, held, now + AGAIN_MS)
        elif following:
            agenda.repeat(connection, held, following)
            agenda.prune(connection, now)
        else:
            agenda.finish(connection, held)

    async def _remind(self, held: Due, deliver: Deliver) -> bool:
        """Noticed only after the start, for example after a stop, it would be of no use to anybody."""
        body = json_format.Parse(held.payload, ReservationEvent(), ignore_unknown_fields=True)
        if self._clock.now() >= from_timestamp(body.reservation.start_time):
            return True
        moment = datetime.fromtimestamp(held.due_at / SECOND, UTC)
        return await deliver(held.event_id, self._composer.remind(held.event_id, body, moment))

    async def _digest(self, held: Due, deliver: Deliver) -> bool:
        """One mail to each address with something open, named by the day: a second attempt is the same mail."""
        now = self._clock.now()
        cases, failed = await self._database.read(
            lambda c: (agenda.read_cases(c, now), agenda.count_failed(c, now - DAY))
        )
        day = datetime.fromtimestamp(held.due_at / SECOND, self._timetable.zone).date()
        addresses = dict.fromkeys(address for case in cases for address in case.addresses)
        settled = True
        for address in addresses:
            mine = [to_open_case(case) for case in cases if address in case.addresses]
            source_id = f"digest-{day}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
            messages = self._composer.digest(source_id, Digest(address, now, mine, failed))
            settled &= await deliver(source_id, messages)
        return settled


def to_case(event: Event, body: ReservationEvent) -> Case | None:
    """The case that an event puts before support; None for any other."""
    record = body.reservation
    if event.type not in {"reservation.pending_approval", "reservation.updated"} or record.HasField("room"):
        return None
    notices = [each for each in body.decision.obligations if each.kind == Obligation.KIND_NOTIFY_SUPPORT]
    payload = json_format.MessageToJson(ReservationEvent(reservation=record), indent=None)
    opened = int(event.time.timestamp() * SECOND)
    addresses = list(dict.fromkeys(notice.address for notice in notices))
    return Case(record.reservation_id, record.version, addresses, opened, _cutoff(record, body.decision), payload)


def to_open_case(case: Case) -> OpenCase:
    body = json_format.Parse(case.payload, ReservationEvent(), ignore_unknown_fields=True)
    return OpenCase(body.reservation, case.open_time, case.cutoff)


def _cutoff(record: Reservation, decision: Decision) -> int:
    spans = [each.seconds for each in decision.obligations if each.kind == Obligation.KIND_EXPIRE_ESCALATION]
    return from_timestamp(record.start_time) - max(spans) * SECOND if spans else 0
