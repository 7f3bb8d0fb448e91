"""The whole system in one process: every program wired as in its __main__, on simulated disks, bus and mail."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from yunhui.meetings.v1.making_pb2 import MakeMeetingRequest, MoveMeetingRequest, UnmakeMeetingRequest
from yunhui.meetings.v1.meeting_service_pb2 import ListParticipantsRequest, LookUpMeetingRequest
from yunhui.policy.v1.policy_service_pb2 import AllowedSubjectsBatchRequest, DecideBatchRequest

from services.booking import subscriptions as booking_subscriptions
from services.booking.api import BookingService
from services.booking.assembly import build
from services.booking.decisions import PolicyClient
from services.booking.meetings_client import MeetingsClient
from services.booking.watchers import Watchers
from services.contracts import subjects
from services.meetings import subscriptions as meetings_subscriptions
from services.meetings.gateway import Gateway
from services.meetings.making import Making
from services.meetings.providers import Providers
from services.meetings.simulated import Simulated
from services.meetings.webhook_events import WebhookEvents
from services.notifier.channels import MAIL, DeliveryClaim, SendResult, SendVerdict
from services.notifier.deliveries import Deliveries
from services.notifier.ingest import Ingester as Ingester
from services.notifier.messages import Composer
from services.notifier.planner import Planner, Timetable
from services.notifier.sender import Retry, Sender
from services.notifier.subscriptions import EventReceiver
from services.notifier.values import Letterhead
from services.platform.clock import MINUTE
from services.platform.messaging.outbox import Relay
from services.platform.serving.grants import Grants
from services.platform.serving.rates import NO_LIMIT
from services.policy import subscriptions as policy_subscriptions
from services.policy.decisions import Policy
from tests.simulation.bus import Server, Wire, consume
from tests.simulation.chaos import LOST, Chaos, Port, Program
from tests.simulation.disk import Access, Disk

ZONE = ZoneInfo("Asia/Shanghai")
LETTERHEAD = Letterhead("yunhui@example.org", "https://yunhui.example.org", ZONE, "support@example.org")
LEASE_MS = 30_000
Loops = list[Coroutine[Any, Any, Any]]


class World:
    """Disks, server and mailbox stay; programs come and go. Two bookings share one disk."""

    def __init__(self, chaos: Chaos, disks: Mapping[str, Disk], policy: Policy) -> None:
        self.chaos = chaos
        self.server = Server(chaos)
        self.disks = disks
        self.mailbox = Mailbox(chaos)
        self.policy = policy
        self.services: dict[str, BookingService] = {}
        self.provider: Simulated
        begin = {
            "policy": self._policy,
            "meetings": self._meetings,
            "booking-0": self._booking,
            "booking-1": self._booking,
            "notifier": self._notifier,
        }
        self.programs = {name: Program(name, chaos, begin[name]) for name in begin}

    def start(self) -> None:
        for program in self.programs.values():
            program.start()

    def end(self) -> None:
        for program in self.programs.values():
            program.alive = False
            for task in program.tasks:
                task.cancel()

    def _policy(self, program: Program) -> Loops:
        async def decide(body: bytes) -> bytes:
            await port.step()
            asked = DecideBatchRequest.FromString(body)
            return policy_subscriptions.decide(self.policy, asked).SerializeToString()  # type: ignore[arg-type] # has decide()

        async def allowed(body: bytes) -> bytes:
            await port.step()
            asked = AllowedSubjectsBatchRequest.FromString(body)
            return policy_subscriptions.allowed(self.policy, asked).SerializeToString()  # type: ignore[arg-type] # has allowed()

        port = Port(program)
        self.server.handlers[subjects.DECIDE] = (program, decide)
        self.server.handlers[subjects.ALLOWED] = (program, allowed)
        return []

    def _meetings(self, program: Program) -> Loops:
        database, wire = Access(program, self.disks["meetings"]), Wire(program, self.server)
        relay = Relay(database, wire, "meetings")  # type: ignore[arg-type] # as much of a Client as is used
        webhook_events = WebhookEvents(database, self.chaos, relay.wake)
        self.provider = Simulated(database, self.chaos, webhook_events)
        gateway = Gateway(Providers({"": self.provider}), webhook_events)
        gateway._calls = gateway._misses = NO_LIMIT  # they go by real time

        async def look_up(body: bytes) -> bytes:
            asked = LookUpMeetingRequest.FromString(body)
            return (await meetings_subscriptions.look_up(gateway, asked)).SerializeToString()

        async def participants(body: bytes) -> bytes:
            asked = ListParticipantsRequest.FromString(body)
            return (await meetings_subscriptions.participants(gateway, asked)).SerializeToString()

        making = Making(database, self.chaos, gateway.providers)

        async def make(body: bytes) -> bytes:
            asked = MakeMeetingRequest.FromString(body)
            return (await meetings_subscriptions.made(lambda: making.make(asked))).SerializeToString()

        async def move(body: bytes) -> bytes:
            asked = MoveMeetingRequest.FromString(body)
            return (await meetings_subscriptions.made(lambda: making.move(asked))).SerializeToString()

        async def unmake(body: bytes) -> bytes:
            asked = UnmakeMeetingRequest.FromString(body)
            return (await meetings_subscriptions.made(lambda: making.unmake(asked))).SerializeToString()

        self.server.handlers[subjects.MAKE_MEETING] = (program, make)
        self.server.handlers[subjects.MOVE_MEETING] = (program, move)
        self.server.handlers[subjects.UNMAKE_MEETING] = (program, unmake)
        self.server.handlers[subjects.LOOK_UP] = (program, look_up)
        self.server.handlers[subjects.PARTICIPANTS] = (program, participants)
        return [relay.run()]

    def _booking(self, program: Program) -> Loops:
        database, wire = Access(program, self.disks["booking"]), Wire(program, self.server)
        policy, gateway = PolicyClient(wire), MeetingsClient(wire)  # type: ignore[arg-type]
        relay = Relay(database, wire, "booking")  # type: ignore[arg-type]

        booking = build(database, policy, self.chaos, gateway, Watchers(), relay.wake, Grants())
        self.services[program.name] = booking.service
        meeting_events = booking.meeting_events
        assert meeting_events

        async def receive(messages: Any) -> None:
            await asyncio.gather(*(booking_subscriptions.answer(meeting_events, message) for message in messages))

        events = consume(wire, self.server, "MEETINGS", "booking", receive)
        return [relay.run(), booking.deadlines.run(), booking.admission.run(), events]

    def _notifier(self, program: Program) -> Loops:
        database, wire = Access(program, self.disks["notifier"]), Wire(program, self.server)
        composer = Composer(LETTERHEAD)
        planner = Planner(database, self.chaos, composer, Timetable(15 * MINUTE, None, ZONE))
        relay = Relay(database, wire, "notifier")  # type: ignore[arg-type]
        deliveries = Deliveries(database, self.chaos, LEASE_MS, relay.wake)
        sender = Sender(deliveries, Post(program, self.mailbox), self.chaos, Retry())

        async def bury(subject: str, payload: bytes, headers: dict[str, str]) -> None:
            await wire.jetstream().publish(subject, payload, 5.0, headers)

        ingester = Ingester(database, self.chaos, composer, planner, sender.wake)
        receiver = EventReceiver(ingester, bury)
        return [
            relay.run(),
            consume(wire, self.server, "BOOKING", "notifier", receiver.receive),
            planner.run(ingester.queue, ingester.queued),
            sender.run(),
        ]


class Mailbox:
    """What the mail server took: (message id, seconds). `unanswered` are those whose sender never heard of it."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self.taken: list[tuple[str, float]] = []
        self.unanswered: set[tuple[str, float]] = set()


class Post(Port):
    """The notifier's way to the mail server."""

    name, shared = MAIL, True

    def __init__(self, program: Program, mailbox: Mailbox) -> None:
        super().__init__(program)
        self._mailbox = mailbox

    async def send(self, claim: DeliveryClaim) -> SendResult:
        await self.step()
        if self.chaos.happens(LOST):
            return SendResult(SendVerdict.AWAY, 0, "no connection")
        if self.chaos.happens(LOST):
            return SendResult(SendVerdict.TEMPORARY, 451, "later")
        mail = (claim.message_id, asyncio.get_running_loop().time())
        self._mailbox.taken.append(mail)
        if self.chaos.happens(LOST):
            self._mailbox.unanswered.add(mail)
            return SendResult(SendVerdict.TEMPORARY, 0, "the connection broke")
        await self.step()
        return SendResult(SendVerdict.ACCEPTED, 250, "taken")

    def record(self, connection: Any, claim: DeliveryClaim, answer: SendResult, now: int) -> None:
        pass

    async def rest(self) -> None:
        pass
