"""What tests of meetings that are made here share: what is asked, a provider that fails as told, what is stored."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlmodel import select
from yunhui.meetings.v1 import making_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.meetings.ledger_models import MakingRow
from services.meetings.plans import MeetingPlan
from services.meetings.provider import MadeMeeting, MeetingKey
from services.meetings.simulated import Simulated
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR, to_timestamp
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from tests.meetings.builders import HandClock

START = 1_751_850_000_000
DONE, REFUSED, UNKNOWN = (
    pb.MAKING_OUTCOME_DONE,
    pb.MAKING_OUTCOME_REFUSED,
    pb.MAKING_OUTCOME_UNKNOWN,
)


def wanted(making_id: str = "m-1", start: int = START, end: int = START + HOUR, **more: Any) -> pb.MakeMeetingRequest:
    return pb.MakeMeetingRequest(
        making_id=making_id,
        creator_account_id=more.pop("creator", "li"),
        subject=more.pop("subject", "组会"),
        start_time=to_timestamp(start),
        end_time=to_timestamp(end),
        options=meeting_pb2.MeetingOptions(**more),
    )


def moved(start: int, end: int, making_id: str = "m-1") -> pb.MoveMeetingRequest:
    return pb.MoveMeetingRequest(making_id=making_id, start_time=to_timestamp(start), end_time=to_timestamp(end))


def unwanted(making_id: str = "m-1") -> pb.UnmakeMeetingRequest:
    return pb.UnmakeMeetingRequest(making_id=making_id)


class Making(Simulated):
    """Counts what it is asked, and fails before or after it as it is told."""

    before: Callable[[str, int], Exception | None] = staticmethod(lambda what, number: None)
    after: Callable[[str, int], Exception | None] = staticmethod(lambda what, number: None)
    gate: asyncio.Event | None = None

    def __init__(self, database: Database, clock: HandClock, events: WebhookEvents) -> None:
        super().__init__(database, clock, events)
        self.asked: list[str] = []

    async def _begin(self, what: str) -> int:
        self.asked.append(what)
        number = self.asked.count(what)
        if error := self.before(what, number):
            raise error
        if self.gate:
            await self.gate.wait()
        return number

    def _end(self, what: str, number: int) -> None:
        if error := self.after(what, number):
            raise error

    async def make(self, plan: MeetingPlan, creator: str, making_id: str) -> MadeMeeting:
        number = await self._begin("make")
        made = await super().make(plan, creator, making_id)
        self._end("make", number)
        return made

    async def find_made(self, plan: MeetingPlan, creator: str, making_id: str) -> list[MadeMeeting]:
        number = await self._begin("find")
        found = await super().find_made(plan, creator, making_id)
        self._end("find", number)
        return found

    async def reschedule(self, key: MeetingKey, creator: str, start_time: int, end_time: int) -> None:
        number = await self._begin("move")
        await super().reschedule(key, creator, start_time, end_time)
        self._end("move", number)

    async def call_off(self, key: MeetingKey, creator: str) -> None:
        number = await self._begin("call off")
        await super().call_off(key, creator)
        self._end("call off", number)


async def stored(database: Database, making_id: str = "m-1") -> MakingRow:
    def work(connection: Any) -> MakingRow:
        with open_session(connection) as session:
            return session.exec(select(MakingRow).where(MakingRow.making_id == making_id)).one()

    return await database.read(work)
