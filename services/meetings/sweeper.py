"""Looks from time to time at what the provider holds, within a budget of calls: all that events did not tell.

One replica at a time does so, the one that publishes. What runs is looked at most often, for that changes; who came is
asked once, after the end; how well people are connected with whatever calls are left.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from services.meetings import heard, ledger
from services.meetings.budget import Budget
from services.meetings.ledger_models import MEETING, QUALITY, MeetingRow, QualitySampleRow
from services.meetings.people import Quality
from services.meetings.provider import (
    AwayError,
    IncompleteError,
    Participant,
    Phase,
    Provider,
    ProviderError,
    UnsupportedError,
)
from services.meetings.rendering import key_of
from services.meetings.settings import MeetingsSettings
from services.meetings.sweeps import Sweep
from services.platform.clock import DAY, MINUTE, Clock
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from services.platform.observing import metrics
from services.platform.tasks import until_cancelled

log = logging.getLogger(__name__)

CALLS = metrics.counter("yunhui_meetings_sweep_calls_total", "questions to the provider for the ledger", "question")
SHARES = {Phase.RUNNING: 0.6, Phase.ENDED: 0.15, Phase.COMING: 0.15}
"""Of the budget, the most urgent first: a list that takes more calls than that is read less often."""
PAUSE_SECONDS = 1.0
TIDY_SECONDS = 5.0
REFUSED_SECONDS, INCOMPLETE_SECONDS = 60.0, 5.0
SAMPLE_AGAIN_SECONDS = 20.0
"""No meeting's quality is asked for more often."""
NOT_YET = 10 * MINUTE
DELETED_AT_ONCE = 1_000

Ask = Callable[[], Awaitable[None]]
"""One question to the provider, and what becomes of its answer."""


@dataclass(frozen=True, slots=True)
class SweepPace:
    """How often each list is read at most, in seconds, and what is bad."""

    running: float = 20.0
    coming: float = 300.0
    ended: float = 120.0
    calls_a_minute: int = 60
    bad_delay_ms: float = 300.0
    bad_loss_percent: float = 5.0
    keep_quality_days: int = 90

    @classmethod
    def of(cls, settings: MeetingsSettings) -> "SweepPace":
        return cls(
            running=settings.sweep_seconds,
            calls_a_minute=settings.sweep_calls_a_minute,
            bad_delay_ms=settings.bad_delay_ms,
            bad_loss_percent=settings.bad_loss_percent,
            keep_quality_days=settings.keep_quality_days,
        )

    def is_bad(self, quality: Quality) -> bool:
        """More delay or loss than that; what was not told is not bad."""
        losses = (quality.upstream_loss or 0.0, quality.downstream_loss or 0.0)
        return (quality.delay or 0.0) > self.bad_delay_ms or max(losses) > self.bad_loss_percent

    def seconds(self, phase: Phase) -> float:
        return {Phase.RUNNING: self.running, Phase.COMING: self.coming, Phase.ENDED: self.ended}[phase]


class Sweeper:
    """Of one provider. `turn` makes at most one call."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        provider: Provider,
        pace: SweepPace,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now`: seconds of a clock that nobody sets."""
        self._database, self._clock, self._provider = database, clock, provider
        self._pace, self._now = pace, now
        self._budget, self._rest = Budget(pace.calls_a_minute, now), Budget(pace.calls_a_minute, now)
        self._sweeps = {phase: Sweep(database, clock, provider, phase) for phase in SHARES}
        self._due = dict.fromkeys(SHARES, now())
        self._began = dict.fromkeys(SHARES, now())
        self._away_until, self._tidy_at = 0.0, now()
        self._questions = {"visits": self._visits, "quality": self._quality}
        self._sampled: dict[int, float] = {}

    async def turn(self) -> bool:
        """Whether a call was made: then there may be more to ask at once."""
        if self._now() >= self._tidy_at:
            self._tidy_at = self._now() + TIDY_SECONDS
            await self._tidy()
        if self._now() < self._away_until:
            return False
        for phase in self._sweeps:
            if self._now() >= self._due[phase]:
                return self._budget.take() and await self._ask(phase.value, partial(self._sweep, phase))
        for what, question in [*self._questions.items()]:
            ask = await question()
            if ask is not None:
                self._rest.calls_a_minute = self._left_over()
                return self._rest.take() and self._budget.take() and await self._ask(what, ask)
        return False

    def _left_over(self) -> int:
        """Calls a minute that the lists do not take."""
        taken = (sweep.pages * (int(60 / self._interval(phase)) + 1) for phase, sweep in self._sweeps.items())
        return max(1, self._pace.calls_a_minute - sum(taken))

    def _interval(self, phase: Phase) -> float:
        """Seconds from one reading of a list to the next."""
        share = self._budget.seconds_for(self._sweeps[phase].pages, SHARES[phase])
        return max(self._pace.seconds(phase), share)

    async def _ask(self, what: str, ask: Ask) -> bool:
        CALLS.count(what)
        try:
            await ask()
        except AwayError as error:
            log.warning("%s: not swept for %d s: %s", self._provider.name, error.retry_seconds, error)
            self._away_until = self._now() + error.retry_seconds
        except UnsupportedError:
            log.info("%s has no way to tell %s", self._provider.name, what)
            self._questions.pop(what, None)
            self._due.update({phase: float("inf") for phase in self._due if phase.value == what})
        return True

    async def _sweep(self, phase: Phase) -> None:
        sweep = self._sweeps[phase]
        if not sweep.under_way:
            self._began[phase] = self._now()
        try:
            if await sweep.step():
                self._due[phase] = self._began[phase] + self._interval(phase)
        except (AwayError, UnsupportedError):
            raise
        except ProviderError as error:
            log.warning("%s meetings of %s cannot be read: %s", phase, self._provider.name, error)
            seconds = INCOMPLETE_SECONDS if isinstance(error, IncompleteError) else REFUSED_SECONDS
            self._due[phase] = self._now() + seconds

    async def _visits(self) -> Ask | None:
        now = self._clock.now()
        due = select(MeetingRow).where(
            MeetingRow.provider == self._provider.name, MeetingRow.visits_due > 0, MeetingRow.visits_due <= now
        )
        row = await self._first(due.order_by(col(MeetingRow.sort_time).desc()))
        return None if row is None else partial(self._ask_who_came, row)

    async def _ask_who_came(self, row: MeetingRow) -> None:
        since, at = min(row.actual_start or row.begin_time, row.start_time or row.begin_time), self._clock.now()
        people: list[Participant] | None = None
        try:
            people = await self._provider.participants(key_of(row), since)
        except (AwayError, UnsupportedError):
            raise
        except ProviderError as error:
            log.warning("who came to a meeting of %s cannot be read: %s", self._provider.name, error)
        await self._database.write(lambda connection: self._note_people(connection, row, people, since, at))

    def _note_people(
        self, connection: Connection, asked: MeetingRow, people: list[Participant] | None, since: int, at: int
    ) -> None:
        """Of a list that is still empty, or has somebody inside, more is to come, at least for a day."""
        ledger.lock(connection)
        with open_session(connection) as session:
            row = ledger.find(session, key_of(asked))
            if row is None or row.phase != Phase.ENDED:
                return
            over = all(stay.leave_time is not None for each in people or () for stay in each.stays)
            if people and over:
                heard.complete(session, row, people, since, at, self._clock.now())
            elif people is None or at > row.over_time + DAY:
                row.visits_due = ledger.IN_VAIN
            else:
                row.visits_due = at + NOT_YET

    async def _quality(self) -> Ask | None:
        """Of what runs, whatever was asked about longest ago."""
        running = select(MeetingRow).where(
            MeetingRow.phase == Phase.RUNNING.value, MeetingRow.provider == self._provider.name
        )
        ids = await self._database.read(lambda connection: _ids(connection, running))
        self._sampled = {each: self._sampled.get(each, float("-inf")) for each in ids}
        oldest = min(self._sampled, key=lambda each: self._sampled[each], default=None)
        if oldest is None or self._now() < self._sampled[oldest] + SAMPLE_AGAIN_SECONDS:
            return None
        row = await self._first(running.where(MeetingRow.id == oldest))
        return None if row is None else partial(self._sample, row)

    async def _sample(self, row: MeetingRow) -> None:
        self._sampled[row.id or 0] = self._now()
        at = self._clock.now()
        try:
            samples = await self._provider.quality(key_of(row))
        except (AwayError, UnsupportedError):
            raise
        except ProviderError as error:
            log.info("quality of a meeting of %s cannot be read: %s", self._provider.name, error)
            return
        await self._database.write(lambda connection: _keep(connection, row, samples, at, self._pace))

    async def _first(self, wanted: SelectOfScalar[MeetingRow]) -> MeetingRow | None:
        def work(connection: Connection) -> MeetingRow | None:
            with open_session(connection) as session:
                return session.exec(wanted.limit(1)).first()

        return await self._database.read(work)

    async def _tidy(self) -> None:
        """Whose planned end has come, is over; old samples go."""
        now = self._clock.now()
        if await self._database.read(lambda connection: heard.are_over(connection, now)):
            await self._database.write(lambda connection: heard.end_planned(connection, now))
        oldest = now - self._pace.keep_quality_days * DAY
        if await self._database.read(lambda connection: _old(connection, oldest)):
            await self._database.write(lambda connection: _delete(connection, _old(connection, oldest)))


def _ids(connection: Connection, wanted: SelectOfScalar[MeetingRow]) -> list[int]:
    return list(connection.scalars(wanted.with_only_columns(MEETING.c.id)))


def _keep(connection: Connection, row: MeetingRow, samples: Sequence[Quality], at: int, pace: SweepPace) -> None:
    with open_session(connection) as session:
        session.add_all(
            QualitySampleRow(
                meeting_row=row.id or 0,
                sample_time=at,
                person=each.target.person_id,
                account=each.account,
                display_name=ledger.clean(each.display_name),
                delay=each.delay,
                upstream_loss=each.upstream_loss,
                downstream_loss=each.downstream_loss,
                bad=pace.is_bad(each),
            )
            for each in samples
        )


def _old(connection: Connection, before: int) -> list[int]:
    c = QUALITY.c
    return list(connection.scalars(sa.select(c.id).where(c.sample_time < before).limit(DELETED_AT_ONCE)))


def _delete(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(sa.delete(QUALITY).where(QUALITY.c.id.in_(ids)))


async def run(sweepers: Sequence[Sweeper], owns: Callable[[], bool]) -> None:
    """Until cancelled, while `owns` says that this replica is the one. What fails is tried again."""
    async with asyncio.TaskGroup() as group:
        for each in sweepers:
            group.create_task(_run(each, owns))
        group.create_task(asyncio.Event().wait())


async def _run(sweeper: Sweeper, owns: Callable[[], bool]) -> None:
    for _ in until_cancelled():
        asked = False
        try:
            asked = owns() and await sweeper.turn()
        except Exception as error:
            log.warning("a sweep failed: %s", error or type(error).__name__)
        if not asked:
            await asyncio.sleep(PAUSE_SECONDS)
