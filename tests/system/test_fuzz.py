"""Whatever is sent to whatever method of whatever program: a documented code, no growth of memory, and life goes on.

FUZZ_MESSAGES says how many (`make fuzz`: 10,000). An installation of its own, for administrators may do much harm.
"""

import asyncio
import functools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import nats
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from yunhui.booking.v1.calendar_pb2 import ReadCalendarRequest, ReadCalendarResponse
from yunhui.booking.v1.events_pb2 import AccountEvent, RefusedRequest, ReservationEvent
from yunhui.booking.v1.export_pb2 import ExportRequestsRequest, ExportRequestsResponse
from yunhui.meetings.v1.events_pb2 import MeetingEvent
from yunhui.meetings.v1.making_pb2 import MakeMeetingRequest, MakingReply, MoveMeetingRequest, UnmakeMeetingRequest
from yunhui.meetings.v1.meeting_service_pb2 import (
    ListParticipantsReply,
    ListParticipantsRequest,
    LookUpMeetingReply,
    LookUpMeetingRequest,
)
from yunhui.meetings.v1.user_pb2 import ListUsersReply, ListUsersRequest
from yunhui.policy.v1.policy_service_pb2 import (
    AllowedSubjectsBatchRequest,
    AllowedSubjectsBatchResponse,
    DecideBatchRequest,
    DecideBatchResponse,
)

from tests.patience import PATIENCE_SECONDS
from tests.system.doors import Door, House, opened
from tests.system.hostile import Hostile
from tests.system.stack import MONDAY, Stack, wait_for

pytestmark = [pytest.mark.system, pytest.mark.long]

MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "400"))
ROLES = ("booker", "support", "admin")
DOCUMENTED = {
    "OK",
    "CANCELLED",  # by ourselves: a stream that would not end
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "ABORTED",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
}
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
QUESTIONS: dict[str, tuple[str, Any, Any]] = {
    "policy.decide": ("booking", DecideBatchRequest, DecideBatchResponse),
    "policy.allowed": ("booking", AllowedSubjectsBatchRequest, AllowedSubjectsBatchResponse),
    "meetings.look_up": ("booking", LookUpMeetingRequest, LookUpMeetingReply),
    "meetings.participants": ("booking", ListParticipantsRequest, ListParticipantsReply),
    "meetings.make": ("booking", MakeMeetingRequest, MakingReply),
    "meetings.move": ("booking", MoveMeetingRequest, MakingReply),
    "meetings.unmake": ("booking", UnmakeMeetingRequest, MakingReply),
    "meetings.users": ("directory", ListUsersRequest, ListUsersReply),
    "booking.requests": ("policy", ExportRequestsRequest, ExportRequestsResponse),
    "booking.calendar": ("portal", ReadCalendarRequest, ReadCalendarResponse),
}
"""Who asks, with what, and what the answer is."""
HAPPENINGS: dict[str, tuple[str, Any]] = {
    **{
        f"yunhui.booking.reservation.{name}": ("booking", ReservationEvent)
        for name in ("confirmed", "cancelled", "odd")
    },
    "yunhui.booking.reservation.denied": ("booking", RefusedRequest),
    "yunhui.booking.account.suspended": ("booking", AccountEvent),
    "yunhui.meetings.meeting.entered": ("meetings", MeetingEvent),
    "yunhui.meetings.meeting.changed": ("meetings", MeetingEvent),
}
SEVERAL_TIMES = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    running = Stack(tmp_path_factory.mktemp("fuzz"))
    running.start("--clock", MONDAY)
    with opened(running) as found:
        yield found
    running.stop()


@pytest.fixture(scope="module")
def known(house: House) -> list[str]:
    """What is really there."""
    booker = house.stack.login("booker")
    made = [booker.reserve(f"2025-07-0{day}T10:00+08:00").answer for day in (8, 9)]
    ids = [each[kind][f"{kind}Id"] for each in made for kind in ("reservation", "decision")]
    rooms = [each["roomId"] for each in booker.yunhui("rooms").answer["rooms"]]
    return [*ids, *rooms[:2], booker.meeting("2025-07-10T10:00+08:00"), "booker"]


def resident_bytes(house: House) -> dict[str, int]:
    pids = house.stack.pids
    return {name: int(Path(f"/proc/{pids[name]}/statm").read_text().split()[1]) * PAGE_BYTES for name in house.channels}


def play(house: House, hostile: Hostile, number: int) -> Counter[str]:
    """Sends so many messages. Raises AssertionError with the smallest one that finds a fault."""
    seen: Counter[str] = Counter()
    calls = st.sampled_from(house.doors).flatmap(
        lambda door: st.tuples(st.just(door), roles_of(door), hostile.bodies(door.method.input_type))
    )

    @settings(SEVERAL_TIMES, max_examples=number, derandomize=MESSAGES < 1000)
    @given(calls)
    def send(call: tuple[Door, str, bytes]) -> None:
        door, role, body = call
        code = house.send_as(door, body, role).code().name
        seen[code] += 1
        assert code in DOCUMENTED, (str(door), role, door.method.input_type.name)

    send()
    return seen


def roles_of(door: Door) -> Any:
    """Mostly those that get in."""
    return st.sampled_from([*ROLES, *[role for role in ROLES if role in door.roles] * 6])


def test_no_message_finds_an_error_of_ours(house: House, known: list[str]) -> None:
    hostile, pids = Hostile(known), house.stack.pids
    play(house, hostile, MESSAGES // 4)  # what a program needs once, it has now
    before = resident_bytes(house)
    seen = play(house, hostile, MESSAGES - MESSAGES // 4)
    after = resident_bytes(house)
    sizes = {name: f"{before[name] >> 20} -> {after[name] >> 20} MB" for name in before}
    print(dict(seen), sizes)  # noqa: T201 - for whoever asks with -s
    assert house.stack.pids == pids
    assert all(after[name] < before[name] * 1.1 for name in before), sizes
    assert min(seen["OK"], seen["INVALID_ARGUMENT"], seen["NOT_FOUND"]) > MESSAGES // 100, seen
    assert house.stack.login("booker", "afterwards").reserve("2025-07-11T10:00+08:00").code == 0


def test_no_time_is_too_large(house: House) -> None:
    """What Timestamp allows and databases do not: that found a fault only once in some 10,000 messages."""
    tried = 0
    for door in house.doors:
        for path in times_of(door.method.input_type):
            for seconds in (-(2**63), 2**63 - 1):
                message = GetMessageClass(door.method.input_type)()
                functools.reduce(getattr, path, cast(Any, message)).seconds = seconds
                role = min(door.roles)
                code = house.send_as(door, message.SerializeToString(), role).code().name
                assert code in DOCUMENTED, (str(door), path)
                tried += 1
    assert tried > 20


def times_of(kind: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in a message times stand."""
    for field in kind.fields:
        if field.message_type and not field.is_repeated and len(path) < 3:
            here = (*path, field.name)
            if field.message_type.full_name == "google.protobuf.Timestamp":
                yield here
            else:
                yield from times_of(field.message_type, here)


def test_no_message_on_the_bus_finds_an_error_of_ours(house: House, known: list[str]) -> None:
    """Every question gets an answer, and nobody else waits for what cannot be read."""
    hostile, pids, before = Hostile(known), house.stack.pids, resident_bytes(house)
    asked = st.sampled_from(sorted(QUESTIONS)).flatmap(
        lambda subject: st.tuples(st.just(subject), hostile.bodies(QUESTIONS[subject][1].DESCRIPTOR))
    )
    told = st.sampled_from(sorted(HAPPENINGS)).flatmap(
        lambda subject: st.tuples(st.just(subject), hostile.documents(HAPPENINGS[subject][1].DESCRIPTOR))
    )
    odd = st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(HEADER_TEXTS), max_size=4)
    with asyncio.Runner() as runner:
        clients = {
            user: runner.run(connected(house, user))
            for user in ("booking", "policy", "meetings", "portal", "directory")
        }

        @settings(SEVERAL_TIMES, max_examples=max(MESSAGES // 10, 40))
        @given(asked, told, odd)
        def send(question: tuple[str, bytes], happening: tuple[str, bytes], headers: dict[str, str]) -> None:
            subject, body = question
            user, _, kind = QUESTIONS[subject]
            answer = runner.run(clients[user].request(subject, body[:MOST_ON_THE_BUS], timeout=PATIENCE_SECONDS))
            assert INTERNAL not in codes(kind.FromString(answer.data)), subject
            subject, body = happening
            client = clients[HAPPENINGS[subject][0]]
            runner.run(client.jetstream().publish(subject, body[:MOST_ON_THE_BUS], headers=headers or None))

        send()
        for client in clients.values():
            runner.run(client.close())
    assert house.stack.pids == pids
    after = resident_bytes(house)
    assert all(after[name] < before[name] * 1.1 for name in before), (before, after)
    wait_for(lambda: house.stack.login("admin").yunhui("events", "dead", "list").answer.get("deadEvents"))
    afterwards = house.stack.login("booker", "bus-afterwards").reserve("2025-07-11T14:00+08:00")
    wanted = afterwards.answer["reservation"]["reservationId"]
    support = house.stack.login("support")
    wait_for(lambda: sent(support.yunhui("deliveries", "list", "--reservation", wanted).answer))


def test_nothing_of_all_that_was_an_error_that_nobody_foresaw(house: House) -> None:
    for name in house.channels:
        log = (house.stack.state / "logs" / f"{name}.log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]


HEADERS = ("ce-id", "ce-type", "ce-time", "ce-subject", "ce-sequence", "ce-specversion", "Nats-Msg-Id", "content-type")
HEADER_TEXTS = (
    "",
    "1",
    "-1",
    "0",
    "9" * 40,
    "x" * 3000,
    "NaN",
    "2025-07-07T00:00:00Z",
    "99999-01-01",
    "yunhui.booking.x.y",
)
MOST_ON_THE_BUS = 900_000
INTERNAL = 13


async def connected(house: House, user: str) -> Client:
    password = house.stack.password(user)
    return await nats.connect(house.stack.run["nats"], user=user, password=password, inbox_prefix=f"_INBOX_{user}")


def codes(reply: Any) -> set[int]:
    """Of all errors in an answer of the bus."""
    parts = reply.results if isinstance(reply, DecideBatchResponse | AllowedSubjectsBatchResponse) else [reply]
    return {part.error.code for part in parts if "error" in part.DESCRIPTOR.fields_by_name}


def sent(answer: dict[str, Any]) -> bool:
    return any(each["state"] == "DELIVERY_STATE_SENT" for each in answer.get("deliveries", []))
