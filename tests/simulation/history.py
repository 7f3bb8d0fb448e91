"""One history: people do as the dice say while everything goes wrong; then it is calm, and the promises are checked."""

import asyncio
import importlib.resources
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.platform.clock import DAY, MINUTE, from_timestamp, to_timestamp
from services.platform.messaging import outbox
from services.platform.serving import errors, rpc
from services.platform.serving.identity import Principal
from services.policy.decisions import Policy
from tests.callers import caller
from tests.faults import checker
from tests.faults.answers import Answer
from tests.faults.checker import Breach
from tests.faults.load import to_answer
from tests.simulation.chaos import Chaos, DeadError
from tests.simulation.disk import Disk, make_disks
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World

PEOPLE = ("ann", "bob", "cat", "dan")
ACTS = 12
PATIENCE_SECONDS = 40.0
PAUSE_SECONDS = 1.0
CALM_SECONDS = 60.0
GRACE = 30 * MINUTE
ROOMS = [
    {"room_id": name, "display_name": name, "capacity": capacity, "enabled": True}
    for name, capacity in (("small", 30), ("middle", 60), ("large", 300))
]


class History:
    """What people asked and were told. Everybody repeats a request, unchanged, until it is answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.chaos.dice
        self.answers: list[Answer] = []
        self.mine: dict[str, list[tuple[pb.Reservation, str]]] = {name: [] for name in PEOPLE}
        self._requests = 0

    async def live(self) -> None:
        self.world.start()
        await asyncio.gather(*(self._person(name) for name in PEOPLE), self._time(), self._support())

    async def _person(self, name: str) -> None:
        acts = (
            self._create,
            self._create,
            self._create,
            self._update,
            self._cancel,
            self._enter,
            self._enter,
            self._leave,
        )
        for _ in range(ACTS):
            await asyncio.sleep(self.dice.random() * 5)
            await self.dice.choice(acts)(name)

    async def _time(self) -> None:
        for _ in range(ACTS):
            await asyncio.sleep(self.dice.random() * 6)
            self.world.chaos.jump(self.dice.choice((1, 5, 29, 30, 31, 60, 120)))

    async def _support(self) -> None:
        """Answers what is open."""
        for number in range(3):
            await asyncio.sleep(self.dice.random() * 20)
            support = caller("helper", "support")
            listed = await self._until_answered(support, api.ListReservationsRequest())
            for record in listed.reservations:
                if record.state == pb.RESERVATION_STATE_PENDING_APPROVAL:
                    approved = self.dice.random() < 0.7
                    request = api.ResolveEscalationRequest(
                        reservation_id=record.reservation_id, approve=approved, note=f"note {number}"
                    )
                    await self._until_answered(support, request)

    async def _create(self, name: str) -> None:
        """Some want several at once."""
        await asyncio.gather(*(self._ask_for_a_room(name) for _ in range(self.dice.choice((1, 1, 3)))))

    async def _ask_for_a_room(self, name: str) -> None:
        now = self.world.chaos.now()
        start = (now // (15 * MINUTE) + self.dice.randint(3, 20)) * 15 * MINUTE + self.dice.choice((0, 0, 0, DAY))
        length = self.dice.choice((30, 45, 60, 90)) * MINUTE
        made = await self._in_the_cloud(lambda: self.world.provider.create("", "group", name, start, start + length))
        subject = self._next(name)
        request = api.CreateReservationRequest(
            request_id=subject,
            subject=subject,
            meeting_code=made.meeting_code,
            start_time=to_timestamp(start),
            end_time=to_timestamp(start + length),
            participant_count=self.dice.choice((5, 12, 40, 120)),
        )
        reply = await self._until_answered(booker(name), request)
        if isinstance(reply, api.CreateReservationResponse) and reply.HasField("reservation"):
            self.mine[name].append((reply.reservation, made.meeting_code))

    async def _update(self, name: str) -> None:
        if self.mine[name]:
            made, code = self.dice.choice(self.mine[name])
            request = api.UpdateReservationRequest(request_id=self._next(name), reservation_id=made.reservation_id)
            start, end = from_timestamp(made.start_time), from_timestamp(made.end_time)
            change = self.dice.choice(("people", "people", "shorten", "put off", "move"))
            if change == "people":
                request.participant_count = self.dice.choice((8, 50))
            if change == "shorten":
                request.end_time.CopyFrom(to_timestamp(end - 10 * MINUTE))
            if change == "put off":
                request.start_time.CopyFrom(to_timestamp(start + 15 * MINUTE))
            if change == "move":
                start, end = start + 90 * MINUTE, end + 90 * MINUTE
                await self._in_the_cloud(lambda: self.world.provider.move(code, start, end))
                request.start_time.CopyFrom(to_timestamp(start))
                request.end_time.CopyFrom(to_timestamp(end))
            await self._until_answered(booker(name), request)

    async def _cancel(self, name: str) -> None:
        if self.mine[name]:
            made, _ = self.dice.choice(self.mine[name])
            reservation_id = made.reservation_id
            await self._until_answered(booker(name), api.CancelReservationRequest(reservation_id=reservation_id))

    async def _enter(self, name: str) -> None:
        if self.mine[name]:
            _, code = self.dice.choice(self.mine[name])
            await self._in_the_cloud(lambda: self.world.provider.enter(code, name))

    async def _leave(self, name: str) -> None:
        if self.mine[name]:
            _, code = self.dice.choice(self.mine[name])
            await self._in_the_cloud(lambda: self.world.provider.leave(code, name))

    def _next(self, name: str) -> str:
        self._requests += 1
        return f"{name}-{self._requests}"

    async def _in_the_cloud(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """The provider is what it is; only the program that plays it may die meanwhile."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await act()
            except errors.RpcError:
                return None
            except (DeadError, TimeoutError, asyncio.CancelledError):
                await asyncio.sleep(PAUSE_SECONDS)

    async def _until_answered(self, caller: Principal, request: Any) -> Any:
        """Of either booking; the answer, or the error that is one."""
        while True:
            service = self.world.services[self.dice.choice(("booking-0", "booking-1"))]
            method = type(request).__name__.removesuffix("Request")
            rpc._principal.set(caller)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    reply = await getattr(service, method)(request, None)
            except errors.RpcError as error:
                if error.code.name in ("UNAVAILABLE", "ABORTED"):
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                reply = error.code.name
            except (DeadError, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if not isinstance(request, api.ListReservationsRequest | api.ResolveEscalationRequest):
                self.answers.append(to_answer(caller.account_id, request, reply, 0, 0))
            return reply

    async def calm(self) -> None:
        """Nothing goes wrong any more, and two days pass."""
        chaos = self.world.chaos
        chaos.calm = True
        await asyncio.sleep(2 * CALM_SECONDS)
        for _ in range(16):
            chaos.jump(180)
            await asyncio.sleep(CALM_SECONDS / 6)
        await asyncio.sleep(CALM_SECONDS)


def booker(name: str) -> Principal:
    return caller(name, "booker", email=f"{name}@example.org")


def check(history: History) -> Iterator[Breach]:
    world = history.world
    with world.disks["booking"].engine.connect() as connection:
        ledger = checker.replay(checker.read_events(connection))
        yield from checker.check_tables(connection)
        yield from ledger.breaches
        yield from checker.check_records(connection, ledger)
        yield from checker.check_answers(connection, ledger, history.answers)
    yield from check_events(world)
    yield from check_mail(world)
    yield from check_attendance(world)


def rows(world: World, program: str, query: str) -> list[tuple[Any, ...]]:
    return world.disks[program].run(lambda connection: [tuple(row) for row in connection.execute(sa.text(query))])


def check_events(world: World) -> Iterator[Breach]:
    """Outbox, stream and inbox: the same events, each entity in order."""
    told = "SELECT entity_id, event_id FROM outbox ORDER BY entity_id, entity_seq"
    for program, stream in (("booking", "BOOKING"), ("meetings", "MEETINGS"), ("notifier", "NOTIFIER")):
        published = [(each.entity_id, each.event_id) for each in world.server.streams[stream]]
        yield from differences(f"{program}'s stream and outbox", rows(world, program, told), published)
    inbox = rows(world, "notifier", "SELECT entity_id, event_id FROM inbox ORDER BY seq")
    yield from differences("inbox and outbox", rows(world, "booking", told), inbox)
    if world.server.streams["DEAD"]:
        yield Breach("dead events", str(len(world.server.streams["DEAD"])))


def differences(what: str, wanted: list[Any], seen: list[Any]) -> Iterator[Breach]:
    left, right = checker.group(wanted), checker.group(seen)
    for entity in left.keys() | right.keys():
        if left.get(entity) != right.get(entity):
            yield Breach(f"{what} differ", f"{entity}: {left.get(entity)} {right.get(entity)}")


def check_mail(world: World) -> Iterator[Breach]:
    """Each notice was mailed; again only where the first answer was lost, or its hearer died."""
    deaths = world.programs["notifier"].deaths
    moments = checker.group((name, at) for name, at in world.mailbox.taken)  # type: ignore[misc] # moments, not texts
    query = "SELECT message_id, state, expire_time FROM delivery WHERE channel = 'mail'"
    for name, state, expires in rows(world, "notifier", query):
        times: list[Any] = moments.pop(name, [])
        if not (state == "sent" and times) and not (state == "failed" and expires):  # a reminder that came too late
            yield Breach("not mailed", f"{name} {state}")
        for first, second in pairwise(times):
            if (name, first) not in world.mailbox.unanswered and not any(first <= death <= second for death in deaths):
                yield Breach("mailed again", name)
    for name in moments:
        yield Breach("mailed without a notice", name)


def check_attendance(world: World) -> Iterator[Breach]:
    """What the cloud knows: where somebody was inside in time there is no no-show, and else there is one."""
    told = rows(world, "meetings", "SELECT meeting_id, enter_time, leave_time FROM simulated_visit")
    visits = checker.group((meeting_id, stay) for meeting_id, *stay in told)  # type: ignore[misc] # moments, not texts
    query = """SELECT r.reservation_id, r.meeting_id, r.state, r.start_time, r.attendance, v.waive_time
        FROM reservation r LEFT JOIN violation v ON v.reservation_id = r.reservation_id
        WHERE r.state IN ('NO_SHOW', 'COMPLETED', 'CONFIRMED', 'IN_USE')"""
    for reservation_id, meeting_id, state, start, attendance, waived in rows(world, "booking", query):
        stays: list[Any] = visits.get(int(meeting_id), [])  # type: ignore[call-overload]
        came = any(
            entered <= start + GRACE and (entered >= start or left is None or left > start) for entered, left in stays
        )
        if state == "NO_SHOW" and came and waived is None:
            yield Breach("punished wrongly", reservation_id)
        if state == "COMPLETED" and not came and attendance != "UNKNOWN":
            yield Breach("no-show not found", reservation_id)
        if state in ("CONFIRMED", "IN_USE"):
            yield Breach("forgotten", f"{reservation_id} {state}")


def prepare() -> tuple[Mapping[str, Disk], Policy]:
    """What all histories share: disks that are emptied before each, and the compiled rules."""
    rules = importlib.resources.files("services.policy") / "rules" / "default.yaml"
    return make_disks(ROOMS), Policy.load(rules.read_text(), "default@1")


def play(seed: int, disks: Mapping[str, Disk], policy: Policy) -> tuple[History, list[Breach]]:
    """In the thread that called `prepare`, which must not have an event loop running."""
    loop = VirtualLoop()
    chaos = Chaos(seed, loop)
    before, outbox.real_time = outbox.real_time, chaos.now
    try:
        return loop.run_until_complete(_play(chaos, disks, policy))
    finally:
        outbox.real_time = before
        loop.close()


async def _play(chaos: Chaos, disks: Mapping[str, Disk], policy: Policy) -> tuple[History, list[Breach]]:
    for disk in disks.values():
        disk.reset()
    history = History(World(chaos, disks, policy))
    try:
        await history.live()
        await history.calm()
        return history, list(check(history))
    finally:
        history.world.end()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
