"""Every no-show is found and nobody is punished wrongly: `python -m tests.faults.attendance --meetings 1000 --seed 7`.

A day of meetings at the stand-in for Tencent's cloud, from eight in the morning on, each with a story drawn by dice. Of
the webhooks one in ten is lost, one doubled, one late, one out of order, one preceded by a forgery; forged entries are
sent for meetings to which nobody comes. For an hour the cloud is away, by every fault in turn: of what falls due
in it nobody may be judged. At the end the violations must be those of the meetings where nobody was between the start
and half an hour after it.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from yunhui.booking.v1 import booking_service_pb2 as api

from services.installation.state import WEBHOOK_TOKEN
from services.platform.clock import DAY, HOUR, MINUTE, SECOND, DevelopmentClock, to_timestamp
from services.standin.cloud import Cloud, CloudMeeting
from services.standin.sender import Mischief, WebhookOutcome, WebhookSender
from services.standin.server import Standin
from tests.faults.checker import Breach
from tests.faults.load import MIDNIGHT, Client
from tests.faults.notices import show
from tests.faults.whole import Whole, whole

FIRST = MIDNIGHT + DAY + 8 * HOUR
HALF = 30 * MINUTE
FAULTS = (("html", 0), ("close", 20 * MINUTE), ("empty", 40 * MINUTE), ("", HOUR))
"""What the cloud answers while it is away, and from when on."""

LEASE = MINUTE
PATIENCE_SECONDS = 300.0
CLIENTS = 8
SHARE = 0.1
JUDGED = "SELECT reservation_id FROM violation WHERE waive_time IS NULL"
ANNULLED = "SELECT count(*) FROM violation WHERE waive_time IS NOT NULL"
DUE = "SELECT count(*) FROM deadline WHERE due_time <= {}"


@dataclass(frozen=True, slots=True)
class Story:
    """What people do at a meeting: (who, epoch ms relative to its start, what). `absent`: nobody was there in time."""

    name: str
    share: int
    absent: bool
    acts: tuple[tuple[str, int, str], ...]


HOST, GUEST = "host", ""
Act = Callable[[int], object]
"""Given the moment, in seconds."""

STORIES = (
    Story("nobody", 20, True, ()),
    Story("only the waiting room", 8, True, ((GUEST, 5 * MINUTE, "wait"), (HOST, 20 * MINUTE, "wait"))),
    Story("tried out 80 minutes before", 4, True, ((HOST, -80 * MINUTE, "enter"), (HOST, -65 * MINUTE, "leave"))),
    Story("a second too late", 8, True, ((HOST, 30 * MINUTE + SECOND, "enter"), (HOST, 50 * MINUTE, "leave"))),
    Story(
        "a guest for a second, 59 minutes before",
        6,
        True,
        ((GUEST, -59 * MINUTE, "enter"), (GUEST, -59 * MINUTE + SECOND, "leave")),
    ),
    Story("left just before it began", 6, True, ((HOST, -20 * MINUTE, "enter"), (HOST, -5 * SECOND, "leave"))),
    Story("left a second after it began", 6, False, ((HOST, -20 * MINUTE, "enter"), (HOST, SECOND, "leave"))),
    Story("early, and stayed", 12, False, ((HOST, -5 * MINUTE, "enter"), (HOST, HOUR, "leave"))),
    Story(
        "looked in, and came again too late",
        6,
        True,
        (
            *((HOST, -20 * MINUTE, "enter"), (HOST, -15 * MINUTE, "leave")),
            *((HOST, 30 * MINUTE + SECOND, "enter"), (HOST, 50 * MINUTE, "leave")),
        ),
    ),
    Story(
        "looked into by a guest, cancelled over there",
        4,
        False,
        (
            *((GUEST, -40 * MINUTE, "enter"), (GUEST, -39 * MINUTE, "leave")),
            (HOST, -10 * MINUTE, "cancel"),
        ),
    ),
    Story("on time", 30, False, ((HOST, 2 * MINUTE, "enter"), (GUEST, 4 * MINUTE, "enter"), (HOST, HOUR, "leave"))),
    Story("only a guest", 8, False, ((GUEST, 12 * MINUTE, "enter"), (GUEST, 25 * MINUTE, "leave"))),
    Story("in the last second", 10, False, ((HOST, 30 * MINUTE - SECOND, "enter"),)),
    Story("cancelled over there", 6, False, ((HOST, -10 * MINUTE, "cancel"),)),
)


@dataclass(slots=True)
class Case:
    """A meeting, its story, and the reservation of its room."""

    account: str
    story: Story
    start: int
    meeting: CloudMeeting
    reservation_id: str = ""

    @property
    def deadline(self) -> int:
        return self.start + 30 * MINUTE


class Play:
    """The cloud, its people and a forger, against the whole installation."""

    def __init__(self, installation: Whole, standin: Standin, size: int, hours: int, seed: int) -> None:
        """`size` meetings in a day of so many hours."""
        self.starts = [FIRST + number * HALF for number in range(2 * hours)]
        self.away = FIRST + hours // 3 * HOUR - MINUTE
        self.installation = installation
        self.standin = standin
        self.clock = DevelopmentClock(installation.state.clock)
        self.dice = random.Random(seed)
        self.breaches: list[Breach] = []
        token = installation.state.password(WEBHOOK_TOKEN)
        url = f"http://{installation.plan.address('webhooks')}/tencent"
        mischief = Mischief(SHARE, SHARE, SHARE, SHARE, SHARE, hours * 1.5, random.Random(seed))
        self.sender = WebhookSender(url, token, mischief=mischief)
        self.cloud = standin.cloud
        self.cloud.sender, self.cloud.now = self.sender, lambda: self.clock.now() / 1000
        self.forger = Cloud(WebhookSender(url, "a guess"), self.cloud.now)
        self.cases = [self._case(number, size) for number in range(size)]

    def _case(self, number: int, size: int) -> Case:
        """Everybody has two meetings, on this day."""
        account, start = f"person-{number % (size // 2)}", self.starts[number * len(self.starts) // size]
        [story] = self.dice.choices(STORIES, [each.share for each in STORIES])
        meeting = self.cloud.create(account, start // 1000, (start + HOUR) // 1000)
        return Case(account, story, start, meeting)

    async def reserve(self) -> None:
        left = iter(self.cases)

        async def work() -> None:
            client = Client(self.installation.addresses, self.installation.state)
            for case in left:
                answer = await client.ask(case.account, request(case))
                assert answer.facts, answer
                case.reservation_id = answer.facts.reservation_id

        await asyncio.gather(*(work() for _ in range(CLIENTS)))

    async def live(self) -> None:
        """The day, moment by moment; after each moment at which something is due it is waited for."""
        acts = [
            *(
                (case.start + when, self._act(case, who, what))
                for case in self.cases
                for who, when, what in case.story.acts
            ),
            *((self.away + when, self._fault(fault)) for fault, when in FAULTS),
            *((start + HALF, None) for start in [*self.starts, self.starts[-1] + HALF]),
        ]
        for moment, group in groupby(sorted(acts, key=moment_of), key=moment_of):
            self._reach(moment - SECOND)
            for _, act in group:
                await asyncio.to_thread(act, moment // 1000) if act else await self._fall_due(moment)

    def _act(self, case: Case, who: str, what: str) -> Act:
        person = case.account if who == HOST else GUEST

        def leave(at: int) -> None:
            for visit in [each for each in case.meeting.inside() if each.userid == person]:
                self.cloud.leave(case.meeting, visit, at)

        acts: dict[str, Act] = {
            "enter": lambda at: self.cloud.enter(case.meeting, person, at=at),
            "leave": leave,
            "wait": lambda _: self.cloud.wait(case.meeting, person),
            "cancel": lambda _: self.cloud.cancel(case.meeting),
        }
        return acts[what]

    def _fault(self, fault: str) -> Act:
        """With the cloud away none of its webhooks come either."""

        def act(_: int) -> None:
            self.standin.broken = fault
            self.sender.mischief.lost = 1.0 if fault else SHARE

        return act

    def _reach(self, moment: int) -> None:
        """The clock also runs by itself: it may be past that already."""
        self.clock.shift(max(moment - self.clock.now(), 0))

    async def _fall_due(self, moment: int) -> None:
        for case in self.cases:
            if case.story.absent and case.deadline == moment:
                self.forger.enter(replace(case.meeting, visits=[]), case.account, at=moment // 1000 - 60)
        self._reach(moment)
        if self.away < moment < self.away + HOUR:
            await asyncio.sleep(5)
            self._check_nobody_is_judged_while_nobody_knows()
        else:
            await self._settle()
        tell(self, moment)

    def _check_nobody_is_judged_while_nobody_knows(self) -> None:
        blind = {case.reservation_id for case in self.cases if self.away <= case.deadline < self.away + HOUR}
        for reservation_id in blind & self.judged():
            self.breaches.append(Breach("judged while the cloud was away", reservation_id))

    async def _settle(self) -> None:
        """Until nothing is due or under way; a deadline that is dealt with is leased for a minute."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self.installation.count(DUE.format(self.clock.now() + LEASE)):
            if time.monotonic() > until:
                raise TimeoutError("deadlines are due and nobody deals with them")
            await asyncio.sleep(0.1)

    async def end(self) -> None:
        """Until all webhooks have arrived, and what they tell has reached booking."""
        assert await asyncio.to_thread(self.sender.drain, PATIENCE_SECONDS)
        assert await asyncio.to_thread(self.forger.sender.drain, PATIENCE_SECONDS)
        self._reach(self.starts[-1] + 2 * HOUR)
        await self._settle()
        await self.installation.drain()
        await self.installation.consumed("MEETINGS", "booking")

    def judged(self) -> set[str]:
        return {str(row[0]) for row in self.installation.rows(JUDGED)}

    def check(self) -> Iterator[Breach]:
        yield from self.breaches
        judged = self.judged()
        for case in self.cases:
            if case.story.absent and case.reservation_id not in judged:
                yield Breach("no-show not found", f"{case.story.name}: {case.reservation_id}")
            if not case.story.absent and case.reservation_id in judged:
                yield Breach("punished wrongly", f"{case.story.name}: {case.reservation_id}")
        yield from self._check_suspensions()
        yield from self._check_states()
        for outcome in self.forgeries():
            if 200 <= outcome.status < 300:
                yield Breach("a forgery was taken", outcome.body)

    def forgeries(self) -> list[WebhookOutcome]:
        """What became of each. Some meet a connection that is closed as idle at that moment, and arrive nowhere."""
        return [*self.forger.sender.outcomes, *(each for each in self.sender.outcomes if each.what == "forged")]

    def _check_suspensions(self) -> Iterator[Breach]:
        absences = Counter(case.account for case in self.cases if case.story.absent)
        wanted = {account for account, number in absences.items() if number == 2}
        closed = {
            str(row[0]) for row in self.installation.rows("SELECT account_id FROM suspension WHERE lift_time IS NULL")
        }
        for account in wanted ^ closed:
            yield Breach("suspended wrongly" if account in closed else "not suspended", account)

    def _check_states(self) -> Iterator[Breach]:
        states = dict(map(tuple, self.installation.rows("SELECT reservation_id, state FROM reservation")))
        for case in self.cases:
            wanted = "NO_SHOW" if case.story.absent else "CANCELLED" if "cancelled" in case.story.name else "COMPLETED"
            if states[case.reservation_id] != wanted:
                yield Breach("another state than its story", f"{case.story.name}: {states[case.reservation_id]}")


def moment_of(act: tuple[int, Act | None]) -> int:
    return act[0]


def request(case: Case) -> api.CreateReservationRequest:
    return api.CreateReservationRequest(
        request_id=case.meeting.meeting_id,
        meeting_code=case.meeting.code,
        subject=case.meeting.subject,
        start_time=to_timestamp(case.start),
        end_time=to_timestamp(case.start + HOUR),
        participant_count=12,
    )


def tell(play: Play, moment: int) -> None:
    clock = time.strftime("%H:%M", time.gmtime((moment + 8 * HOUR) // 1000))
    due = sum(case.deadline <= moment for case in play.cases)
    print(f"{clock}: {due} of {len(play.cases)} due, {len(play.judged())} no-shows", flush=True)


def sum_up(play: Play) -> None:
    told = Counter(outcome.what for outcome in play.sender.outcomes)
    stories = Counter(case.story.name for case in play.cases)
    print(f"stories: {', '.join(f'{name} {number}' for name, number in stories.items())}")
    print(f"webhooks: {', '.join(f'{what} {number}' for what, number in told.items())}")
    answers = Counter(each.status or each.body for each in play.forgeries())
    print(f"forgeries, by the answer: {', '.join(f'{answer} {number}' for answer, number in answers.items())}")
    print(f"calls of the cloud: {len(play.standin.requests)}, refused by it {Counter(play.standin.refusals)}")
    print(f"no-shows {len(play.judged())}, annulled {play.installation.count(ANNULLED)}", flush=True)


async def play(root: Path, meetings: int, hours: int, seed: int) -> list[Breach]:
    """Breaches; prints what it did. `meetings` is even."""
    standin = Standin()
    standin.cloud.users.add("admin")
    standin.start()
    try:
        async with whole(root, rooms=2 * (meetings // hours), standin=standin.address) as installation:
            day = Play(installation, standin, meetings, hours, seed)
            await day.reserve()
            await day.live()
            await day.end()
            sum_up(day)
            return list(day.check())
    finally:
        standin.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meetings", type=int, default=1000)
    parser.add_argument("--hours", type=int, default=14)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(play(Path(folder) / "state", options.meetings, options.hours, options.seed))
    show(found)
    print(f"{len(found)} breaches", flush=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
