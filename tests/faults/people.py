"""People, as a process of their own, who do all that can be done, and a log on disk of every answer they were given.

They make meetings, reserve rooms for them, at once and for the days to come, ask twice, change their minds, cancel,
come in time, late, or not at all, and give rooms back; support approves and declines. Time jumps on between. Rounds
go on until enough reservations are made and the file `--until` is there; or at once when there is a word in it.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import grpc
from google.protobuf.message import Message
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.meetings.v1 import simulator_service_pb2 as cloud
from yunhui.meetings.v1.simulator_service_pb2_grpc import SimulatorServiceStub

from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.state import State
from services.platform.clock import DAY, HOUR, MINUTE, DevelopmentClock, to_timestamp
from tests.faults.answers import Answer
from tests.faults.load import AGAIN, OPTIONS, PATIENCE_SECONDS, PAUSE_SECONDS, TRIES, Client

AT_ONCE = 24
LARGEST_WAVE = 120
FIRST_CODE = 100_000_000
QUARTER = 15 * MINUTE
GRACE = 30 * MINUTE
SUPPORT = "support"
REGULAR = "regular"
HABITS = ("early",) * 12 + ("late",) * 3 + ("too late",) + ("never",) * 3


@dataclass
class Stay:
    """One reservation, as its booker knows it. `habit`: when they come."""

    account_id: str
    reservation_id: str
    code: str
    start: int
    end: int
    state: str
    habit: str
    over: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody wanted to enter from `asked` on and was let in at the latest at `told` (epoch ms)."""

    reservation_id: str
    asked: int
    told: int


@dataclass(frozen=True, slots=True)
class Jump:
    """When, in monotonic seconds of the machine."""

    moment: float


class Log:
    """What was acknowledged, one line each, on the disk before anything follows from it."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a")

    def append(self, line: Any) -> None:
        self._file.write(json.dumps(asdict(line)) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


class Cloud:
    """The simulated provider, its replicas asked in turn until one answers."""

    def __init__(self, addresses: Sequence[str], state: State) -> None:
        self._stubs = [SimulatorServiceStub(grpc.aio.insecure_channel(each, options=OPTIONS)) for each in addresses]
        token = issuer.mint(state, SampleAccount("admin", "admin"))
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def make(self, code: str, account_id: str, start: int, end: int) -> None:
        request = cloud.CreateMeetingRequest(
            meeting_code=code,
            subject=code,
            start_time=to_timestamp(start),
            end_time=to_timestamp(end),
            account_id=account_id,
        )
        await self._ask("CreateMeeting", request, grpc.StatusCode.ALREADY_EXISTS)

    async def enter(self, code: str, account_id: str) -> None:
        request = cloud.ActInMeetingRequest(meeting_code=code, act=cloud.SIMULATED_ACT_ENTER, account_id=account_id)
        await self._ask("ActInMeeting", request)

    async def _ask(self, method: str, request: Message, *done: grpc.StatusCode) -> None:
        """`done` is what a call says that is repeated after its answer was lost."""
        for turn in range(TRIES):
            call = getattr(self._stubs[turn % len(self._stubs)], method)
            try:
                await call(request, metadata=self._metadata, timeout=PATIENCE_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() in done:
                    return
                if error.code() not in AGAIN:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return
        raise TimeoutError("the simulated provider did not answer")


class Town:
    """All that the people have done so far, and what they will do next."""

    def __init__(self, options: argparse.Namespace) -> None:
        state = State(options.state)
        self.clock = DevelopmentClock(state.clock)
        self.dice = random.Random(options.seed)
        self.made = 0
        self._size: int = options.size
        self._until: Path = options.until
        self._wave = min(LARGEST_WAVE, 24 + options.size // 4)
        self._pace_seconds = options.seconds / options.size
        self._clients = [Client(options.bookings, state) for _ in range(AT_ONCE)]
        self._cloud = Cloud(options.meetings, state)
        self._answers, self._visits, self._jumps = Log(options.log), Log(options.visits), Log(options.jumps)
        self._free = asyncio.Semaphore(AT_ONCE)
        self._stays: list[Stay] = []
        self._asked: list[tuple[str, Message]] = []
        self._codes = iter(range(FIRST_CODE, 10 * FIRST_CODE))

    @property
    def done(self) -> bool:
        return self._until.exists() and (self.made >= self._size or bool(self._until.read_text()))

    async def live(self) -> None:
        while not self.done:
            await self._round()
        await self._together(self._ask(account_id, request) for account_id, request in self._sample(0.05))

    async def _round(self) -> None:
        """About an hour and a half of the clock."""
        slot = -(-(self.clock.now() + 45 * MINUTE) // QUARTER) * QUARTER
        known = len(self._stays)
        await self._together(self._reserve(slot) for _ in range(self._wave))
        await self._together(self._think_again(stay) for stay in self._stays[known:])
        self._jump(slot + 5 * MINUTE)
        await self._come("early")
        self._jump(slot + 28 * MINUTE)
        await self._come("late")
        await self._together(self._give_back(stay) for stay in self._stays if self._is_inside(stay))
        self._jump(slot + QUARTER + GRACE + MINUTE)
        await self._come("too late")

    async def _together(self, acts: Iterable[Awaitable[object]]) -> None:
        async def one(act: Awaitable[object]) -> None:
            async with self._free:
                await act

        await asyncio.gather(*map(one, acts))

    def _jump(self, moment: int) -> None:
        """By surprise, while all programs run; never back."""
        step = moment + self.dice.randrange(MINUTE) - self.clock.now()
        if step > 0:
            self.clock.shift(step)
            self._jumps.append(Jump(time.monotonic()))

    async def _reserve(self, slot: int) -> None:
        await asyncio.sleep(self.dice.uniform(0, 2 * AT_ONCE * self._pace_seconds))
        start = slot + self.dice.choice((0, QUARTER))
        if self.dice.random() < 0.3:
            start += self.dice.randrange(1, 6) * DAY + self.dice.randrange(12) * HOUR
        end = start + self.dice.randrange(45, 76) * MINUTE
        account_id = self._somebody()
        code = str(next(self._codes))
        name = f"make-{code}"
        request = api.CreateReservationRequest(
            request_id=name,
            subject=name,
            meeting_code=code,
            start_time=to_timestamp(start),
            end_time=to_timestamp(end),
            participant_count=self.dice.choice((2, 3, 8, 12, 12, 20, 25, 25, 40, 60, 90, 120)),
        )
        await self._cloud.make(code, account_id, start, end)
        times = 2 if self.dice.random() < 0.1 else 1
        answers = await asyncio.gather(*(self._ask(account_id, request) for _ in range(times)))
        self._remember(account_id, code, start, end, answers[0])

    def _somebody(self) -> str:
        """One in eight wishes is that of a regular, who comes always and wants more than the quota."""
        if self.dice.random() < 1 / 8:
            return f"{REGULAR}-{self.dice.randrange(1 + self._size // 30)}"
        return f"person-{self.dice.randrange(20 + self._size // 2)}"

    def _remember(self, account_id: str, code: str, start: int, end: int, answer: Answer) -> None:
        if not answer.accepted or not answer.facts:
            return
        self.made += 1
        habit = "early" if account_id.startswith(REGULAR) else self.dice.choice(HABITS)
        self._stays.append(Stay(account_id, answer.facts.reservation_id, code, start, end, answer.facts.state, habit))

    async def _think_again(self, stay: Stay) -> None:
        if stay.state == "PENDING_APPROVAL":
            await self._resolve(stay)
        dice = self.dice.random()
        if dice < 0.1:
            await self._ask(stay.account_id, api.CancelReservationRequest(reservation_id=stay.reservation_id))
            stay.over = True
        elif dice < 0.2:
            request = api.UpdateReservationRequest(
                request_id=f"change-{stay.code}", reservation_id=stay.reservation_id, participant_count=5
            )
            await self._ask(stay.account_id, request)
        elif dice < 0.25:
            request = api.UpdateReservationRequest(
                request_id=f"shorten-{stay.code}",
                reservation_id=stay.reservation_id,
                end_time=to_timestamp(stay.end - 3 * MINUTE),
            )
            await self._ask(stay.account_id, request)

    async def _resolve(self, stay: Stay) -> None:
        approve = self.dice.random() < 0.7
        await self._ask(SUPPORT, api.ResolveEscalationRequest(reservation_id=stay.reservation_id, approve=approve))
        stay.over = not approve

    async def _come(self, habit: str) -> None:
        now = self.clock.now()
        await self._together(
            self._enter(stay)
            for stay in self._stays
            if stay.habit == habit and stay.start <= now < stay.end and not stay.over
        )

    async def _enter(self, stay: Stay) -> None:
        asked = self.clock.now()
        await self._cloud.enter(stay.code, stay.account_id)
        self._visits.append(Visit(stay.reservation_id, asked, self.clock.now()))
        stay.over = stay.habit == "too late"
        stay.habit = "inside"

    def _is_inside(self, stay: Stay) -> bool:
        return stay.habit == "inside" and not stay.over and self.dice.random() < 0.1

    async def _give_back(self, stay: Stay) -> None:
        await self._ask(stay.account_id, api.EndReservationRequest(reservation_id=stay.reservation_id))
        stay.over = True

    async def _ask(self, account_id: str, request: Message) -> Answer:
        answer = await self.dice.choice(self._clients).ask(account_id, request)
        self._answers.append(answer)
        if answer.request_id:
            self._asked.append((account_id, request))
        return answer

    def _sample(self, share: float) -> list[tuple[str, Message]]:
        """Requests to be sent once more; the checker compares the answers."""
        return self.dice.sample(self._asked, int(len(self._asked) * share))


async def tell_progress(town: Town) -> None:
    while True:
        await asyncio.sleep(15)
        print(f"... {town.made} reservations", file=sys.stderr, flush=True)


async def main(options: argparse.Namespace) -> None:
    town = Town(options)
    progress = asyncio.create_task(tell_progress(town))
    await town.live()
    progress.cancel()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--visits", type=Path, required=True)
    parser.add_argument("--jumps", type=Path, required=True)
    parser.add_argument("--until", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="about so long it should take")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--meetings", nargs="+", required=True)
    parser.add_argument("--bookings", nargs="+", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(read_options()))
