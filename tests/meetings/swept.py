"""A simulated provider whose events are lost, with as many meetings as one likes, and what it is asked."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.meetings.ledger_models import MEETING, MeetingRow
from services.meetings.models import SimulatedMeeting, SimulatedVisit
from services.meetings.people import Quality
from services.meetings.provider import MeetingKey, MeetingPage, Participant, Phase
from services.meetings.simulated import Simulated
from services.meetings.webhook_event import WebhookEvent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from tests.meetings.builders import HandClock


class LostEvents(WebhookEvents):
    """Whatever happens, nobody hears of it."""

    def store(self, connection: Connection, reported: list[WebhookEvent]) -> None:
        pass


class Asked(Simulated):
    """Counts what it is asked, with the time, and fails when `fault` says so."""

    def __init__(self, database: Database, clock: HandClock, events: WebhookEvents | None = None) -> None:
        super().__init__(database, clock, events or LostEvents(database, clock, lambda: None))
        self.time = clock
        self.calls: list[tuple[int, str, int]] = []
        self.fault: Callable[[str, int], Exception | None] = lambda what, page: None

    def _count(self, what: str, page: int = 0) -> None:
        self.calls.append((self.time.now(), what, page))
        if error := self.fault(what, page):
            raise error

    async def meetings(self, phase: Phase, since: int | None, until: int | None, page: int) -> MeetingPage:
        self._count(phase.value, page)
        return await super().meetings(phase, since, until, page)

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        self._count("visits")
        return await super().participants(key, since)

    async def quality(self, key: MeetingKey) -> list[Quality]:
        self._count("quality")
        return await super().quality(key)

    def asked(self, what: str) -> int:
        return sum(kind == what for _, kind, _ in self.calls)


def fill(database: Database, clock: HandClock, number: int, *, inside: bool, first: int = 0) -> None:
    """So many meetings that began an hour ago and last one more; `inside`: one person in each, two hours in."""
    now = clock.now()
    with database.engine.begin() as connection, open_session(connection) as session:
        for each in range(first, first + number):
            start, end = now - HOUR if inside else now + HOUR, now + 2 * HOUR
            made = SimulatedMeeting(
                meeting_code=f"{100_000_000 + each}", subject=f"m {each}", creator="li", start_time=start, end_time=end
            )
            session.add(made)
            session.flush()
            if inside:
                visit = SimulatedVisit(meeting_id=made.id or 0, account=f"guest-{each}", enter_time=now - 1000)
                session.add(visit)


def rows(database: Database, *conditions: Any) -> Sequence[MeetingRow]:
    with database.engine.begin() as connection, open_session(connection) as session:
        return session.execute(sa.select(MeetingRow).where(*conditions).order_by(MEETING.c.id)).scalars().all()


def in_phase(database: Database, phase: str) -> int:
    return len(rows(database, MEETING.c.phase == phase))
