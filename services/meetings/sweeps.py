"""One list of a provider, read from its first page to its last: what each page says is noted at once, what only the
whole list says, at its end. Of a list that was not read to its end nothing follows.

Times are epoch milliseconds.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from services.meetings import heard, ledger
from services.meetings.ledger_models import SWEEP, MeetingRow
from services.meetings.provider import ListedMeeting, MeetingKey, NoSuchPageError, Phase, Provider, ProviderError
from services.platform.clock import DAY, MINUTE, SECOND, Clock
from services.platform.data.database import Database
from services.platform.data.rows import open_session

log = logging.getLogger(__name__)

AHEAD = 31 * DAY
FIRST_LOOK_BACK = DAY
OVERLAP = 10 * MINUTE
JUST_NOW = 15 * SECOND
"""Who came in so short before a list was asked for may not stand in it yet."""
ATTEMPTS = 3
"""Of one page, one after the other; then the list is begun again."""
AT_ONCE = 200
"""Rows that follow from a whole list are changed in steps of so many."""


@dataclass(slots=True)
class Reading:
    """What was read of a list so far. `totals`: how long it was said to be, page by page."""

    began: int
    since: int | None
    until: int | None
    page: int = 1
    seen: set[MeetingKey] = field(default_factory=set)
    totals: set[int] = field(default_factory=set)
    failures: int = 0

    @property
    def whole(self) -> bool:
        """Nothing moved from page to page meanwhile: what was not seen is not in it."""
        return self.totals == {len(self.seen)}


class Sweep:
    """One list of one provider. `pages`: as many calls as it took the last time."""

    def __init__(self, database: Database, clock: Clock, provider: Provider, phase: Phase) -> None:
        self.phase = phase
        self.pages = 1
        self._database, self._clock, self._provider = database, clock, provider
        self._reading: Reading | None = None
        self._former_began = 0

    @property
    def under_way(self) -> bool:
        return self._reading is not None

    async def step(self) -> bool:
        """Reads one page; True at the end of the list. Raises ProviderError."""
        reading = self._reading or await self._begin()
        self._reading = reading
        at = self._clock.now()
        try:
            page = await self._provider.meetings(self.phase, reading.since, reading.until, reading.page)
        except ProviderError as error:
            reading.failures += 1
            if reading.failures >= ATTEMPTS or isinstance(error, NoSuchPageError):
                self._reading = None
            raise
        await self._database.write(lambda connection: self._note(connection, page.meetings, at))
        reading.failures = 0
        reading.seen |= {each.key for each in page.meetings}
        reading.totals.add(page.total)
        if page.next_page:
            reading.page = page.next_page
            return False
        await self._finish(reading)
        return True

    async def _begin(self) -> Reading:
        now = self._clock.now()
        if self.phase is Phase.RUNNING:
            return Reading(now, None, None)
        if self.phase is Phase.COMING:
            return Reading(now, now, now + AHEAD)
        read = await self._database.read(lambda connection: read_time(connection, self._provider.name, self.phase))
        return Reading(now, (read or now - FIRST_LOOK_BACK) - OVERLAP, None)

    def _note(self, connection: Connection, meetings: Sequence[ListedMeeting], at: int) -> None:
        ledger.lock(connection)
        with open_session(connection) as session:
            heard.hear(session, meetings, at, self._clock.now())

    async def _finish(self, reading: Reading) -> None:
        """What was listed before and is not any more: it is over, or was called off."""
        if not reading.whole:
            log.info("%s meetings of %s: the list changed while it was read", self.phase, self._provider.name)
        missing = self._missing(reading)
        while missing is not None and await self._database.write(lambda c: self._gone(c, missing, reading.began)):
            pass
        await self._database.write(lambda c: write_read_time(c, self._provider.name, self.phase, reading.began))
        self.pages, self._former_began, self._reading = reading.page, reading.began, None

    def _missing(self, reading: Reading) -> sa.ColumnElement[bool] | None:
        """Rows that should have been in it. What runs, and was missing from two lists, is over even if they moved."""
        theirs = (col(MeetingRow.provider) == self._provider.name) & (col(MeetingRow.phase) == self.phase.value)
        if self.phase is Phase.RUNNING:
            before = reading.began if reading.whole else self._former_began
            unlisted = (col(MeetingRow.listed_time) < before) & (col(MeetingRow.entry_time) < before - JUST_NOW)
            return theirs & unlisted
        if self.phase is Phase.COMING and reading.whole:
            c = col(MeetingRow.coming_time)
            inside = (col(MeetingRow.sort_time) > reading.began + JUST_NOW) & (
                col(MeetingRow.sort_time) < reading.began + AHEAD
            )
            return theirs & inside & (c > 0) & (c < reading.began) & (col(MeetingRow.plan_time) < reading.began)
        return None

    def _gone(self, connection: Connection, missing: sa.ColumnElement[bool], at: int) -> bool:
        """Whether there may be more."""
        ledger.lock(connection)
        with open_session(connection) as session:
            rows = session.exec(select(MeetingRow).where(missing).limit(AT_ONCE)).all()
            for row in rows:
                heard.unlisted(session, row, at, self._clock.now())
        return len(rows) == AT_ONCE


def read_time(connection: Connection, provider: str, phase: Phase) -> int | None:
    c = SWEEP.c
    return connection.scalar(sa.select(c.read_time).where(c.provider == provider, c.phase == phase.value))


def write_read_time(connection: Connection, provider: str, phase: Phase, at: int) -> None:
    c = SWEEP.c
    changed = sa.update(SWEEP).where(c.provider == provider, c.phase == phase.value).values(read_time=at)
    if not connection.execute(changed).rowcount:
        connection.execute(sa.insert(SWEEP).values(provider=provider, phase=phase.value, read_time=at))
