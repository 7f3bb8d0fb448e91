"""The gateway's two questions, over gRPC and over NATS, as people and as booking ask them: real servers throughout."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub, add_MeetingServiceServicer_to_server

from services.meetings import subscriptions
from services.meetings.api import NEEDED, SERVICE, MeetingService
from services.meetings.gateway import Gateway
from services.meetings.making import Making
from services.meetings.people_now import PeopleNow
from services.meetings.providers import Providers
from services.meetings.tencent.tencent import Tencent
from services.meetings.watchers import MeetingWatchers
from services.meetings.webhook_event import Kind, WebhookEvent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import from_timestamp, to_timestamp
from services.platform.data.database import Database
from services.platform.serving import rpc
from services.platform.serving.identity import Principal, Verifier
from services.platform.settings import Settings
from services.standin.cloud import CloudMeeting
from services.standin.server import Standin
from tests import templates
from tests.meetings.builders import HOUR, HandClock, key
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password

NOW = int(time.time())


class NamedTokens(Verifier):
    """The token is role:account."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        role, _, account = token.partition(":")
        return Principal(account, frozenset({role}))


@pytest.fixture(params=["sqlite"])
def url(tmp_path: Path, service: str) -> str:
    """The questions are asked on one database: what is stored is looked at elsewhere, on both."""
    return templates.on_sqlite(tmp_path / "meetings.db", service)


@pytest.fixture
def meeting(standin: Standin) -> CloudMeeting:
    standin.cloud.users |= {"li", "wang", "other"}
    made = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    made.hosts = ["wang"]
    return made


@pytest.fixture
def gateway(tencent: Tencent, webhook_events: WebhookEvents) -> Gateway:
    return Gateway(Providers({"": tencent}), webhook_events, now=lambda: 0.0)


@pytest.fixture
async def stub(gateway: Gateway, database: Database, clock: HandClock) -> AsyncIterator[Any]:
    service = MeetingService(gateway, database, PeopleNow(clock), MeetingWatchers(database))
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED),
        {SERVICE: lambda bare: add_MeetingServiceServicer_to_server(service, bare)},
        with_reflection=False,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield MeetingServiceStub(channel)
    await server.stop()


async def look_up(stub: Any, who: str, **asked: Any) -> api.LookUpMeetingResponse:
    answer: api.LookUpMeetingResponse = await stub.LookUpMeeting(api.LookUpMeetingRequest(**asked), metadata=as_(who))
    return answer


async def participants(stub: Any, asked: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
    answer: api.ListParticipantsResponse = await stub.ListParticipants(asked, metadata=as_("service:booking"))
    return answer


def as_(who: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {who}"),)


def of(meeting: CloudMeeting, **more: Any) -> api.ListParticipantsRequest:
    named = pb.MeetingKey(provider="tencent", meeting_id=meeting.meeting_id)
    return api.ListParticipantsRequest(meeting=named, **more)


async def refused(call: Any) -> tuple[grpc.StatusCode, dict[str, Any]]:
    """The code, and the details by their kind."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type] # it has what is looked at
    details: dict[str, Any] = {}
    for packed in status.details if status else ():
        for kind in (error_details_pb2.BadRequest, error_details_pb2.RetryInfo, error_details_pb2.ErrorInfo):
            if packed.Is(kind.DESCRIPTOR):
                details[kind.DESCRIPTOR.name] = kind.FromString(packed.value)
    return caught.value.code(), details


async def test_creator_and_host_find_it_by_number_and_by_id(stub: Any, meeting: CloudMeeting) -> None:
    """As people paste it."""
    typed = f"#腾讯会议：{meeting.code[:3]}-{meeting.code[3:6]}-{meeting.code[6:]}"
    named = pb.MeetingKey(provider="tencent", meeting_id=meeting.meeting_id)
    for who in ("booker:li", "booker:wang"):
        by_code = await look_up(stub, who, meeting_code=typed)
        by_id = await look_up(stub, who, meeting=named)
        assert by_code == by_id
        assert by_code.outcome == api.LOOK_UP_OUTCOME_FOUND
    assert by_code.meeting.host_account_ids == ["wang"]
    assert from_timestamp(by_code.meeting.occurrences[0].start_time) == meeting.start * 1000


async def test_of_anothers_nothing_is_told_but_that_it_is_anothers(stub: Any, meeting: CloudMeeting) -> None:
    """Whether its owner's account is known over there or not; to the byte, so that nobody learns whose it is."""
    askers = ("booker:other", "booker:unknown-over-there", "support:other")
    answers = [await look_up(stub, who, meeting_code=meeting.code) for who in askers]
    assert {answer.SerializeToString() for answer in answers} == {
        api.LookUpMeetingResponse(outcome=api.LOOK_UP_OUTCOME_ANOTHERS).SerializeToString()
    }


async def test_absent_foreign_and_given_back_are_one_and_the_same_answer(
    stub: Any, standin: Standin, meeting: CloudMeeting
) -> None:
    """To the byte; ids, which are no secret that people share, say nothing of another's at all."""
    foreign = standin.cloud.create("stranger", NOW, NOW + HOUR, enterprise=False)
    recycled = standin.cloud.create("other", NOW, NOW + HOUR)
    standin.cloud.recycle(recycled)
    codes = [foreign.code, recycled.code, "999999999"]
    answers = [await look_up(stub, "booker:other", meeting_code=code) for code in codes]
    for provider, meeting_id in [("tencent", meeting.meeting_id), ("zoom", meeting.meeting_id), ("tencent", "../x")]:
        named = pb.MeetingKey(provider=provider, meeting_id=meeting_id)
        answers.append(await look_up(stub, "booker:other", meeting=named))
    standin.broken = "error:9042"
    answers.append(await look_up(stub, "booker:other", meeting_code=meeting.code))
    assert {answer.SerializeToString() for answer in answers} == {
        api.LookUpMeetingResponse(outcome=api.LOOK_UP_OUTCOME_NOT_FOUND).SerializeToString()
    }


async def test_only_some_roles_see_the_meetings_of_others(stub: Any, meeting: CloudMeeting) -> None:
    for role in ("support", "admin", "service"):
        found = await look_up(stub, f"{role}:somebody", meeting_code=meeting.code, any_owner=True)
        assert found.outcome == api.LOOK_UP_OUTCOME_FOUND
        found = await look_up(stub, f"{role}:somebody", meeting_code=meeting.code, account_id="li")
        assert found.meeting.creator_account_id == "li"
    code, _ = await refused(look_up(stub, "booker:other", meeting_code=meeting.code, any_owner=True))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    code, _ = await refused(look_up(stub, "booker:other", meeting_code=meeting.code, account_id="li"))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    call = stub.ListParticipants(of(meeting), metadata=as_("booker:li"))
    assert (await refused(call))[0] == grpc.StatusCode.PERMISSION_DENIED


MALFORMED = ["", "12345678", "12345678901", "123-456-789 987-654-321", "abc", "1" * 300, "①②③", "-", "１２３"]


@pytest.mark.parametrize("code", MALFORMED)
async def test_a_malformed_number_is_named_and_not_asked_for(stub: Any, standin: Standin, code: str) -> None:
    status, details = await refused(look_up(stub, "booker:li", meeting_code=code))
    assert status == grpc.StatusCode.INVALID_ARGUMENT
    assert details["BadRequest"].field_violations[0].field == "meeting_code"
    assert standin.requests == []


async def test_a_question_is_about_one_thing(stub: Any) -> None:
    both = look_up(stub, "booker:li", meeting_code="123456789", meeting=pb.MeetingKey(provider="a", meeting_id="1"))
    assert (await refused(both))[0] == grpc.StatusCode.INVALID_ARGUMENT
    for named in (pb.MeetingKey(), pb.MeetingKey(provider="tencent"), pb.MeetingKey(provider="x" * 65, meeting_id="1")):
        status, details = await refused(look_up(stub, "booker:li", meeting=named))
        assert status == grpc.StatusCode.INVALID_ARGUMENT
        assert details["BadRequest"].field_violations[0].field.startswith("meeting.")


@pytest.mark.parametrize("fault", ["html", "hang", "error:960000", "error:190310", "error:190303", "error:777"])
async def test_a_provider_that_is_away_is_unavailable_with_a_time_to_ask_again(
    stub: Any, standin: Standin, meeting: CloudMeeting, fault: str
) -> None:
    standin.broken = fault
    status, details = await refused(look_up(stub, "booker:li", meeting_code=meeting.code))
    assert status == grpc.StatusCode.UNAVAILABLE
    assert details["RetryInfo"].retry_delay.seconds >= 1


async def test_a_question_that_the_provider_does_not_take_is_our_fault(
    stub: Any, standin: Standin, meeting: CloudMeeting
) -> None:
    standin.broken = "error:190004"
    status, _ = await refused(look_up(stub, "booker:li", meeting_code=meeting.code))
    assert status == grpc.StatusCode.INTERNAL


async def test_nobody_finds_out_by_trying_which_numbers_are_meetings(
    stub: Any, gateway: Gateway, standin: Standin, meeting: CloudMeeting
) -> None:
    """20 in a minute may find nothing of one's own, over both ways in; what was found does not count, nor does a
    provider away."""
    standin.broken = "html"
    for _ in range(3):
        await refused(look_up(stub, "booker:li", meeting_code=meeting.code))
    standin.broken = ""
    theirs = standin.cloud.create("other", NOW, NOW + HOUR).code
    anothers = api.LookUpMeetingRequest(meeting_code=theirs, account_id="li")
    for _ in range(10):
        await look_up(stub, "booker:li", meeting_code="999999999")
        await look_up(stub, "booker:li", meeting_code=meeting.code)
        assert (await subscriptions.look_up(gateway, anothers)).response.outcome == api.LOOK_UP_OUTCOME_ANOTHERS
    before = len(standin.requests)
    status, details = await refused(look_up(stub, "booker:li", meeting_code=meeting.code))
    assert (status, details["ErrorInfo"].reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_LOOK_UPS")
    assert 0 < details["RetryInfo"].retry_delay.seconds <= 60
    reply = await subscriptions.look_up(gateway, anothers)
    assert reply.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert 0 < reply.error.retry_after_ms <= 60_000
    assert len(standin.requests) == before
    await look_up(stub, "booker:wang", meeting_code="999999999")
    await look_up(stub, "service:booking", meeting_code="999999999")


async def test_nobody_uses_up_what_the_provider_allows_all(stub: Any, standin: Standin, meeting: CloudMeeting) -> None:
    for _ in range(60):
        await look_up(stub, "booker:li", meeting_code=meeting.code)
    status, _ = await refused(look_up(stub, "booker:li", meeting_code=meeting.code))
    assert (status, len(standin.requests)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 60)


async def test_who_came_is_known_and_nobody_is_known_too(stub: Any, standin: Standin, meeting: CloudMeeting) -> None:
    nobody = await participants(stub, of(meeting))
    assert (nobody.knowledge, nobody.HasField("first_enter_time"), nobody.occupied) == (
        pb.KNOWLEDGE_KNOWN,
        False,
        False,
    )
    standin.cloud.wait(meeting, "li")
    assert not (await participants(stub, of(meeting))).participants
    visit = standin.cloud.enter(meeting, "li", "李", at=NOW - 60)
    came = await participants(stub, of(meeting))
    assert (from_timestamp(came.first_enter_time), came.occupied) == ((NOW - 60) * 1000, True)
    assert (came.participants[0].account_id, came.participants[0].display_name) == ("li", "李")
    standin.cloud.leave(meeting, visit)
    gone = await participants(stub, of(meeting))
    assert (gone.HasField("first_enter_time"), gone.occupied) == (True, False)


async def test_only_who_was_inside_in_the_window_counts(stub: Any, standin: Standin, meeting: CloudMeeting) -> None:
    """A meeting that is used every day: yesterday's people are not today's."""
    standin.cloud.leave(meeting, standin.cloud.enter(meeting, "early", at=NOW - 900), at=NOW - 800)
    standin.cloud.leave(meeting, standin.cloud.enter(meeting, "stays", at=NOW - 900), at=NOW - 500)
    standin.cloud.enter(meeting, "late", at=NOW - 100)
    window = {"start_time": to_timestamp((NOW - 600) * 1000), "end_time": to_timestamp((NOW - 200) * 1000)}
    came = await participants(stub, of(meeting, **window))
    assert [each.account_id for each in came.participants] == ["stays"]
    swapped = of(meeting, start_time=window["end_time"], end_time=window["start_time"])
    assert (await refused(participants(stub, swapped)))[0] == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("stays", "first"),
    [
        ([(-3540, -3539)], None),
        ([(-600, -1)], None),
        ([(-600, 0)], None),
        ([(-600, 1)], 0),
        ([(-600, None)], 0),
        ([(0, 0)], 0),
        ([(0, 1)], 0),
        ([(1800, None)], 1800),
        ([(1801, None)], None),
        ([(-600, -300), (1900, None)], None),
        ([(-600, -300), (1900, 2000), (1700, 1750)], 1700),
    ],
)
async def test_the_first_moment_of_a_window_at_which_somebody_was_inside(
    stub: Any, standin: Standin, meeting: CloudMeeting, stays: list[tuple[int, int | None]], first: int | None
) -> None:
    """In seconds from the start, over half an hour: visit by visit, and never from the first in to the last out."""
    start = NOW - HOUR
    for entered, left in stays:
        visit = standin.cloud.enter(meeting, "li", at=start + entered)
        if left is not None:
            standin.cloud.leave(meeting, visit, at=start + left)
    window = {"start_time": to_timestamp(start * 1000), "end_time": to_timestamp((start + 1800) * 1000 + 1)}
    came = await participants(stub, of(meeting, **window))
    assert came.knowledge == pb.KNOWLEDGE_KNOWN
    found = from_timestamp(came.first_enter_time) // 1000 - start if came.HasField("first_enter_time") else None
    assert (found, bool(came.participants)) == (first, first is not None)


async def test_what_was_reported_before_the_window_says_nothing_about_it(
    stub: Any, meeting: CloudMeeting, webhook_events: WebhookEvents
) -> None:
    """Whether somebody stayed only the provider knows."""
    start, at = (NOW - HOUR) * 1000, key(meeting.meeting_id)
    early, late = (WebhookEvent(Kind.ENTERED, at, moment, ("li",), account="li") for moment in (start - 1, start))
    await webhook_events.record([early])
    asked = of(meeting, start_time=to_timestamp(start))
    assert not (await participants(stub, asked)).HasField("first_enter_time")
    await webhook_events.record([late])
    assert (await participants(stub, asked)).first_enter_time == to_timestamp(start)


UNKNOWN = {
    "html": "PROVIDER_AWAY",
    "empty": "PROVIDER_AWAY",
    "hang": "PROVIDER_AWAY",
    "error:190310": "RATE_LIMITED",
    "error:9042": "NOT_PERMITTED",
    "error:9003": "NO_SUCH_MEETING",
    "error:9007": "NO_SUCH_MEETING",
    "error:190004": "PROVIDER_REFUSED",
    "error:190001": "PROVIDER_AWAY",
    "error:12345": "PROVIDER_AWAY",
}


@pytest.mark.parametrize("fault", UNKNOWN)
async def test_unknown_is_said_and_is_never_nobody(
    stub: Any, standin: Standin, meeting: CloudMeeting, fault: str
) -> None:
    standin.broken = fault
    said = await participants(stub, of(meeting))
    assert (said.knowledge, said.unknown_reason) == (pb.KNOWLEDGE_UNKNOWN, UNKNOWN[fault])


async def test_a_recurring_meeting_without_its_occurrence_is_unknown(stub: Any, standin: Standin) -> None:
    made = standin.cloud.create("li", NOW, NOW + HOUR, times=3)
    assert (await participants(stub, of(made))).knowledge == pb.KNOWLEDGE_UNKNOWN


async def test_an_entry_that_was_reported_is_known_though_the_provider_is_away(
    stub: Any, standin: Standin, meeting: CloudMeeting, webhook_events: WebhookEvents
) -> None:
    """Also when the provider then lists nobody: whoever was reported to enter did enter."""
    entered = WebhookEvent(Kind.ENTERED, key(meeting.meeting_id), (NOW - 60) * 1000, ("li",), account="li")
    await webhook_events.record([entered])
    for fault in ("", "html"):
        standin.broken = fault
        said = await participants(stub, of(meeting))
        assert said.knowledge == pb.KNOWLEDGE_KNOWN
        assert from_timestamp(said.first_enter_time) == (NOW - 60) * 1000


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    made = Bus(tmp_path / "nats")
    await made.start()
    await made.set_up()
    yield made
    await made.stop()


async def test_booking_asks_the_same_over_nats(
    bus: Bus, gateway: Gateway, standin: Standin, meeting: CloudMeeting, database: Database, clock: HandClock
) -> None:
    """As its own user, under the rules of the bus; errors are answers, so that nobody waits in vain."""
    settings = Settings(nats_url=bus.url, nats_user="meetings", nats_password=password("meetings"))
    broker = subscriptions.create_broker(settings, gateway, Making(database, clock, gateway.providers))
    await broker.start()
    booking = await bus.connect("booking")

    async def ask(subject: str, body: bytes) -> bytes:
        return (await booking.request(subject, body, timeout=PATIENCE_SECONDS)).data

    async def find(**asked: Any) -> api.LookUpMeetingReply:
        body = api.LookUpMeetingRequest(**asked).SerializeToString()
        return api.LookUpMeetingReply.FromString(await ask("meetings.look_up", body))

    mine = await find(meeting_code=meeting.code, account_id="li")
    assert mine.response.meeting.meeting_id == meeting.meeting_id
    assert (await find(meeting_code=meeting.code, account_id="other")).response.outcome == api.LOOK_UP_OUTCOME_ANOTHERS
    assert (await find(meeting_code=meeting.code, any_owner=True)).response.outcome == api.LOOK_UP_OUTCOME_FOUND
    assert (await find(meeting_code=meeting.code)).error.code == 3
    assert (await find(meeting_code="12", account_id="li")).error.code == 3
    assert await ask("meetings.look_up", b"\xff\xff") == b""

    reply = api.ListParticipantsReply.FromString(await ask("meetings.participants", of(meeting).SerializeToString()))
    assert reply.response.knowledge == pb.KNOWLEDGE_KNOWN
    standin.broken = "html"
    away = await find(meeting_code=meeting.code, account_id="li")
    assert (away.error.code, away.error.retry_after_ms) == (14, 5000)
    reply = api.ListParticipantsReply.FromString(await ask("meetings.participants", of(meeting).SerializeToString()))
    assert reply.response.knowledge == pb.KNOWLEDGE_UNKNOWN
    await booking.close()
    await broker.stop()
