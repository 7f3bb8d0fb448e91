"""Two providers in one gateway, over real gRPC: Tencent Meeting (the stand-in) and the simulated one behind it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import grpc
import pytest
from google.protobuf.message import Message
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1 import simulator_service_pb2 as simulator
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub
from yunhui.meetings.v1.simulator_service_pb2_grpc import SimulatorServiceStub

from services.meetings import assembly, control_api, recordings_api
from services.meetings.api import NEEDED, SERVICE, SIMULATOR
from services.meetings.assembly import MeetingsAssembly
from services.meetings.gateway import Gateway
from services.meetings.provider import AwayError, Meeting, MeetingKey, NoSuchMeetingError, Participant
from services.meetings.providers import Providers
from services.meetings.settings import KNOWN, MeetingsSettings
from services.meetings.simulated import Simulated
from services.meetings.tencent import tencent as tencent_module
from services.meetings.tencent.tencent import Tencent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import SystemClock, to_timestamp
from services.platform.data.database import Database
from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.serving import errors, rpc
from services.standin.cloud import CloudMeeting
from services.standin.server import Standin
from tests import templates
from tests.meetings.builders import DEFAULT, HOUR, QUICK
from tests.meetings.test_gateway import NamedTokens, as_, refused
from tests.servers import until

NOW = int(time.time())
BOTH = "tencent, simulated:9"
OUTCOMES = {
    api.LOOK_UP_OUTCOME_FOUND: "found",
    api.LOOK_UP_OUTCOME_NOT_FOUND: "not found",
    api.LOOK_UP_OUTCOME_ANOTHERS: "another's",
}


@pytest.fixture(params=["sqlite"])
def url(tmp_path: Path, service: str) -> str:
    """On one database: nothing of it is stored in a way of its own."""
    return templates.on_sqlite(tmp_path / "meetings.db", service)


@pytest.fixture
def clock() -> SystemClock:
    """The stand-in goes by real time."""
    return SystemClock()


class Served(NamedTuple):
    """As its callers have it."""

    meetings: Any
    simulator: Any

    async def look_up(self, meeting_code: str, account: str = "li") -> tuple[str, str]:
        """The outcome, and whose the meeting is."""
        asked = api.LookUpMeetingRequest(meeting_code=meeting_code)
        answer = await self.meetings.LookUpMeeting(asked, metadata=as_(f"booker:{account}"))
        return OUTCOMES[answer.outcome], answer.meeting.provider

    async def get(self, provider: str, meeting_id: str) -> tuple[str, str]:
        """By its key; what look_up says, and the number."""
        asked = api.LookUpMeetingRequest(meeting=pb.MeetingKey(provider=provider, meeting_id=meeting_id))
        answer = await self.meetings.LookUpMeeting(asked, metadata=as_("booker:li"))
        return OUTCOMES[answer.outcome], answer.meeting.meeting_code

    async def who_came(self, provider: str, meeting_id: str) -> list[str] | str:
        """Accounts; why nobody knows, when nobody does."""
        asked = api.ListParticipantsRequest(meeting=pb.MeetingKey(provider=provider, meeting_id=meeting_id))
        answer = await self.meetings.ListParticipants(asked, metadata=as_("service:booking"))
        if answer.knowledge != pb.KNOWLEDGE_KNOWN:
            return str(answer.unknown_reason)
        return [each.account_id for each in answer.participants]

    async def simulate(self, meeting_code: str = "") -> pb.Meeting:
        """A meeting of li's at the simulated provider."""
        start, end = (to_timestamp((NOW + hours * HOUR) * 1000) for hours in (1, 2))
        asked = simulator.CreateMeetingRequest(
            meeting_code=meeting_code, subject="组会", start_time=start, end_time=end
        )
        answer = await self.simulator.CreateMeeting(asked, metadata=as_("booker:li"))
        made: pb.Meeting = answer.meeting
        return made

    async def enter(self, meeting_code: str) -> Message:
        asked = simulator.ActInMeetingRequest(meeting_code=meeting_code, act=simulator.SIMULATED_ACT_ENTER)
        answer: Message = await self.simulator.ActInMeeting(asked, metadata=as_("booker:li"))
        return answer


def settings(providers: str, **more: Any) -> MeetingsSettings:
    given: dict[str, Any] = {
        "environment": "development",
        "issuer": DEVELOPMENT_ISSUER,
        "jwks": "keys.json",
        "database_url": "sqlite:///x.db",
        "meetings_provider": providers,
        "tencent_app_id": DEFAULT.app_id,
        "tencent_sdk_id": DEFAULT.sdk_id,
        "tencent_secret_id": DEFAULT.secret_id,
        "tencent_secret_key": DEFAULT.secret_key,
        "tencent_operator": "admin",
    }
    return MeetingsSettings(**given, **more)


@pytest.fixture
async def put_together(
    standin: Standin,
    database: Database,
    clock: SystemClock,
    webhook_events: WebhookEvents,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[MeetingsAssembly]:
    """As the program does it, but less patient."""
    monkeypatch.setattr(tencent_module, "Timing", lambda: QUICK)
    made = assembly.build(settings(BOTH, tencent_address=standin.address), database, clock, webhook_events)
    yield made
    await made.close()


@pytest.fixture
async def served(put_together: MeetingsAssembly) -> AsyncIterator[Served]:
    guard = rpc.RpcGuard(NamedTokens(), NEEDED)
    server = rpc.RpcServer("127.0.0.1:0", guard, put_together.servicers, with_reflection=False)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Served(MeetingServiceStub(channel), SimulatorServiceStub(channel))
    await server.stop()


def planned(standin: Standin, code: str = "") -> CloudMeeting:
    """A meeting of li's at Tencent."""
    return standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR, code=code)


async def test_a_number_leads_to_its_provider_and_to_no_other(served: Served, standin: Standin) -> None:
    """At both sides of the prefix; also when the other one has a meeting of this number."""
    last, first = planned(standin, "899999999"), planned(standin, "900000000")
    assert await served.look_up(last.code) == ("found", "tencent")
    asked = len(standin.requests)
    assert await served.look_up(first.code) == ("not found", "")
    assert len(standin.requests) == asked
    await served.simulate(first.code)
    assert await served.look_up(first.code) == ("found", "simulated")
    assert await served.look_up(first.code, "wang") == ("another's", "")
    assert len(standin.requests) == asked


async def test_what_people_paste_leads_by_its_number(served: Served, standin: Standin) -> None:
    """Not by what stands before it."""
    await served.simulate("912345678")
    assert await served.look_up("会议号：912-345-678") == ("found", "simulated")
    assert await served.look_up(f"9 人：#腾讯会议：{planned(standin).code}") == ("found", "tencent")


async def test_who_came_is_asked_of_whoever_holds_the_meeting(served: Served, standin: Standin) -> None:
    made, mine = planned(standin), await served.simulate()
    standin.cloud.enter(made, "wang")
    await served.enter(mine.meeting_code)
    assert await served.who_came("tencent", made.meeting_id) == ["wang"]
    assert await served.who_came("simulated", mine.meeting_id) == ["li"]
    assert await served.who_came("tencent", mine.meeting_id) == "NO_SUCH_MEETING"
    assert await served.who_came("simulated", made.meeting_id) == "NO_SUCH_MEETING"
    assert await served.who_came("zoom", made.meeting_id) == "NO_SUCH_MEETING"


async def test_a_meeting_stays_with_its_provider_wherever_its_number_leads_by_now(
    served: Served, standin: Standin
) -> None:
    """Found before the prefix was given to another."""
    made = planned(standin, "955555555")
    standin.cloud.enter(made, "wang")
    assert await served.look_up(made.code) == ("not found", "")
    assert await served.get("tencent", made.meeting_id) == ("found", made.code)
    assert await served.get("simulated", made.meeting_id) == ("not found", "")
    assert await served.who_came("tencent", made.meeting_id) == ["wang"]


@pytest.mark.parametrize("fault", ["html", "hang", "error:190303", "error:190310"])
async def test_one_that_fails_is_in_nobody_elses_way(served: Served, standin: Standin, fault: str) -> None:
    """Whatever is wrong with it, and while it is being waited for."""
    made, mine = planned(standin), await served.simulate()
    await served.enter(mine.meeting_code)
    standin.broken = fault
    away = [asyncio.create_task(refused(served.look_up(made.code))) for _ in range(10)]
    unknown = asyncio.create_task(served.who_came("tencent", made.meeting_id))
    assert await served.look_up(mine.meeting_code) == ("found", "simulated")
    assert await served.who_came("simulated", mine.meeting_id) == ["li"]
    assert {code for code, _ in await asyncio.gather(*away)} == {grpc.StatusCode.UNAVAILABLE}
    assert await unknown in ("PROVIDER_AWAY", "RATE_LIMITED")


class Away(Simulated):
    """Says so, but takes its time."""

    def __init__(self, database: Database, clock: SystemClock, webhook_events: WebhookEvents) -> None:
        super().__init__(database, clock, webhook_events)
        self.asked = 0
        self.patience = asyncio.Event()

    async def find(self, meeting_code: str, account: str | None) -> Meeting:
        return await self._nothing()

    async def participants(self, key: MeetingKey, since: int | None) -> list[Participant]:
        return await self._nothing()

    async def _nothing(self) -> NoReturn:
        self.asked += 1
        await self.patience.wait()
        raise AwayError("not now")


async def test_nor_the_other_way_round(
    tencent: Tencent, standin: Standin, database: Database, clock: SystemClock, webhook_events: WebhookEvents
) -> None:
    """All answers of the other come while it is being waited for."""
    away = Away(database, clock, webhook_events)
    gateway = Gateway(Providers({"": tencent, "9": away}), webhook_events)
    made = planned(standin)

    async def look_up(meeting_code: str) -> api.LookUpMeetingResponse:
        return await gateway.look_up(api.LookUpMeetingRequest(meeting_code=meeting_code), "li")

    async def who_came(provider: str) -> api.ListParticipantsResponse:
        key = pb.MeetingKey(provider=provider, meeting_id=made.meeting_id)
        return await gateway.participants(api.ListParticipantsRequest(meeting=key))

    waiting = asyncio.create_task(look_up("900000001")), asyncio.create_task(who_came("simulated"))
    await until(lambda: away.asked == len(waiting) or any(task.done() for task in waiting))
    assert away.asked == len(waiting)
    assert (await look_up(made.code)).outcome == api.LOOK_UP_OUTCOME_FOUND
    assert (await who_came("tencent")).knowledge == pb.KNOWLEDGE_KNOWN
    assert not any(task.done() for task in waiting)
    away.patience.set()
    with pytest.raises(errors.RpcError) as caught:
        await waiting[0]
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    assert (await waiting[1]).knowledge == pb.KNOWLEDGE_UNKNOWN


async def test_nothing_is_simulated_where_nobody_would_find_it(served: Served) -> None:
    """A number that leads elsewhere is refused; one that the simulator chooses leads to it."""
    code, details = await refused(served.simulate("123456789"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    [violation] = details["BadRequest"].field_violations
    assert violation.field == "meeting_code"
    assert "YUNHUI_MEETINGS_PROVIDER" in violation.description
    chosen = await served.simulate()
    assert await served.look_up(chosen.meeting_code) == ("found", "simulated")


@pytest.mark.parametrize(
    ("providers", "services", "webhooks"),
    [
        ("simulated", {SERVICE, SIMULATOR}, 0),
        ("tencent", {SERVICE}, 2),
        (BOTH, {SERVICE, SIMULATOR}, 2),
        ("simulated, tencent:1, tencent:2", {SERVICE, SIMULATOR}, 2),
    ],
)
async def test_each_brings_its_own_doors(
    database: Database,
    clock: SystemClock,
    webhook_events: WebhookEvents,
    providers: str,
    services: set[str],
    webhooks: int,
) -> None:
    """Once, however many prefixes lead to it; webhooks only where they can be proved."""
    for token, number in (("token", webhooks), ("", 0)):
        made = assembly.build(settings(providers, webhook_token=token), database, clock, webhook_events)
        always = {control_api.SERVICE, recordings_api.SERVICE}
        assert (set(made.servicers), len(made.webhooks)) == (services | always, number)
        await made.close()


def test_each_provider_that_can_be_named_can_be_installed() -> None:
    assert set(KNOWN) == set(assembly.INSTALL)


async def test_a_provider_that_is_not_in_use_holds_nothing(tencent: Tencent) -> None:
    providers = Providers({"": tencent})
    assert providers.of_number("900000001") is providers.of_meeting(MeetingKey("tencent", "1")) is tencent
    with pytest.raises(NoSuchMeetingError, match="'simulated' while tencent is in use"):
        providers.of_meeting(MeetingKey("simulated", "1"))
