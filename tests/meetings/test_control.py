"""Acts of control: each is done once, and each is told truly, whatever fails or dies between."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from yunhui.meetings.v1 import control_service_pb2 as pb
from yunhui.meetings.v1 import listed_meeting_pb2 as listed
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.meetings import acts_under_way, control_acts
from services.meetings.ledger_models import CONTROL_ACT
from services.meetings.provider import (
    AwayError,
    MeetingKey,
    MisconfiguredError,
    NoSuchMeetingError,
    NoSuchPersonError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
    UnsupportedError,
    WrongStateError,
)
from services.meetings.simulated import Simulated
from services.meetings.steering import ACTS, Act, Admit
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.messaging import outbox
from tests.meetings.builders import HandClock
from tests.meetings.served import ADMIN, Replica, as_, serve, to_key
from tests.meetings.test_gateway import refused

CODE = "123456789"


class Steered(Simulated):
    """Counts what it is told to do, and fails before or after as it is told."""

    before: Callable[[int], Exception | None] = staticmethod(lambda number: None)
    after: Callable[[int], Exception | None] = staticmethod(lambda number: None)
    gate: asyncio.Event | None = None

    def __init__(self, database: Database, clock: HandClock, events: WebhookEvents) -> None:
        super().__init__(database, clock, events)
        self.done: list[Act] = []
        self.told = self.looked = 0

    async def do(self, key: MeetingKey, act: Act, creator: str) -> None:
        self.told += 1
        number = self.told
        if error := self.before(number):
            raise error
        if self.gate:
            await self.gate.wait()
        await super().do(key, act, creator)
        self.done.append(act)
        if error := self.after(number):
            raise error

    async def inside(self, key: MeetingKey) -> Any:
        self.looked += 1
        return await super().inside(key)


@pytest.fixture
def provider(database: Database, clock: HandClock, webhook_events: WebhookEvents) -> Steered:
    return Steered(database, clock, webhook_events)


@pytest.fixture
async def replica(database: Database, clock: HandClock, provider: Steered) -> AsyncIterator[Replica]:
    async with serve(database, clock, provider) as made:
        yield made


@pytest.fixture
async def meeting(provider: Steered, clock: HandClock) -> MeetingKey:
    """It runs, with its maker and two more in it."""
    made = await provider.create(CODE, "canary-subject", "li", clock.time, clock.time + HOUR)
    for account in ("li", "ann", "bob"):
        await provider.enter(CODE, account)
    clock.time += 1000
    return MeetingKey("simulated", made.meeting_id)


def order(key: MeetingKey, request_id: str = "request-1", reason: str = "") -> pb.ControlOrder:
    return pb.ControlOrder(meeting=to_key(key), request_id=request_id, reason=reason)


async def target(provider: Steered, key: MeetingKey, account: str) -> listed.Target:
    people = await Simulated.inside(provider, key)
    [found] = [each.target for each in people if each.account == account]
    return listed.Target(person_id=found.person_id, terminal=found.terminal)


async def events(database: Database) -> list[tuple[str, dict[str, Any]]]:
    c = outbox.TABLE.c
    query = sa.select(c.subject, c.payload).where(c.subject.like("%.control.%")).order_by(c.seq)
    rows = await database.read(lambda connection: connection.execute(query).all())
    return [(subject.rpartition(".")[2], json.loads(payload)) for subject, payload in rows]


async def entries(database: Database) -> list[Any]:
    return await database.read(lambda connection: audit.read_after(connection, 0, 1000))


async def test_an_act_is_done_and_told_everywhere(
    replica: Replica, provider: Steered, meeting: MeetingKey, database: Database
) -> None:
    """In the answer, in the list of acts, as an event and in the audit log, which holds no name and no words."""
    await replica.meetings.ListPeople(api.ListPeopleRequest(meeting=to_key(meeting)), metadata=ADMIN)
    whom = await target(provider, meeting, "ann")
    asked = pb.RenamePersonRequest(order=order(meeting, reason="canary-reason"), target=whom, display_name="Anna")
    act = (await replica.control.RenamePerson(asked, metadata=ADMIN)).act
    assert (act.verb, act.outcome) == (pb.CONTROL_VERB_RENAME, pb.CONTROL_OUTCOME_DONE)
    assert (act.actor_account_id, act.reason, [*act.people]) == ("boss", "canary-reason", ["ann"])
    assert act.HasField("finish_time")
    [(kind, told)] = await events(database)
    assert (kind, told["actId"], told["verb"]) == ("done", act.act_id, "CONTROL_VERB_RENAME")
    [entry] = await entries(database)
    assert (entry.actor, entry.target_id, entry.account_id, entry.outcome) == ("boss", meeting.entity_id, "li", "DONE")
    assert entry.method.endswith("ControlService/RenamePerson")
    assert not [word for word in ("canary", "nna") if word in str(entry)]
    listed_acts = await replica.control.ListControlActs(
        pb.ListControlActsRequest(meeting=to_key(meeting)), metadata=ADMIN
    )
    assert [*listed_acts.acts] == [act]
    people = await replica.meetings.ListPeople(api.ListPeopleRequest(meeting=to_key(meeting)), metadata=ADMIN)
    assert "Anna" in [each.display_name for each in people.people]
    assert provider.looked == 2


async def test_every_verb_reaches_the_provider(replica: Replica, provider: Steered, meeting: MeetingKey) -> None:
    ann, bob = await target(provider, meeting, "ann"), await target(provider, meeting, "bob")
    settings = pb.RunningSettings(mute_all=True, chat=pb.CHAT_PUBLIC, mute_on_entry=pb.MUTE_ON_ENTRY_ABOVE_SIX)
    calls: list[tuple[str, Any]] = [
        ("ChangeMeetingSettings", pb.ChangeMeetingSettingsRequest(settings=settings)),
        ("MutePerson", pb.MutePersonRequest(target=ann, muted=True)),
        ("SetCoHost", pb.SetCoHostRequest(target=ann, co_host=True)),
        ("StopVideo", pb.StopVideoRequest(target=ann)),
        ("StopSharing", pb.StopSharingRequest(target=ann)),
        ("InviteMembers", pb.InviteMembersRequest(account_ids=["zoe"])),
        ("PutInWaitingRoom", pb.PutInWaitingRoomRequest(targets=[bob])),
        ("AdmitPeople", pb.AdmitPeopleRequest(targets=[bob])),
        ("PutInWaitingRoom", pb.PutInWaitingRoomRequest(targets=[bob])),
        ("TurnPeopleAway", pb.TurnPeopleAwayRequest(targets=[bob])),
        ("RenamePerson", pb.RenamePersonRequest(target=ann, display_name="A")),
        ("RemovePeople", pb.RemovePeopleRequest(targets=[ann], may_return=True)),
        ("EndMeeting", pb.EndMeetingRequest()),
    ]
    for number, (method, request) in enumerate(calls):
        request.order.CopyFrom(order(meeting, f"request-{number}"))
        answer = await getattr(replica.control, method)(request, metadata=ADMIN)
        assert answer.act.outcome == pb.CONTROL_OUTCOME_DONE, (method, answer.act.provider_message)
    assert {type(act) for act in provider.done} == ACTS
    [row] = (await list_phase(replica, listed.MEETING_PHASE_ENDED)).meetings
    assert (row.inside_count, row.meeting) == (0, to_key(meeting))


async def list_phase(replica: Replica, phase: Any) -> Any:
    return await replica.meetings.ListMeetings(api.ListMeetingsRequest(phase=phase), metadata=ADMIN)


async def test_the_same_request_is_done_once_and_answered_alike(
    replica: Replica, provider: Steered, meeting: MeetingKey, database: Database
) -> None:
    asked = pb.MutePersonRequest(order=order(meeting), target=await target(provider, meeting, "ann"), muted=True)
    first = await replica.control.MutePerson(asked, metadata=ADMIN)
    again = await replica.control.MutePerson(asked, metadata=ADMIN)
    assert first == again
    assert (provider.told, len(await events(database)), len(await entries(database))) == (1, 1, 1)
    await replica.control.MutePerson(asked, metadata=as_("admin:another"))  # whose request it is counts
    assert provider.told == 2
    asked.muted = False
    code, details = await refused(replica.control.MutePerson(asked, metadata=ADMIN))
    assert (code, details["ErrorInfo"].reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    ended = pb.EndMeetingRequest(order=order(meeting))
    code, _ = await refused(replica.control.EndMeeting(ended, metadata=ADMIN))
    assert code == grpc.StatusCode.ALREADY_EXISTS
    assert provider.told == 2


async def test_while_it_is_under_way_the_same_request_waits(
    replica: Replica, provider: Steered, meeting: MeetingKey, database: Database, clock: HandClock
) -> None:
    """Also at another replica; and whoever hangs up does not undo it."""
    provider.gate = asyncio.Event()
    asked = pb.EndMeetingRequest(order=order(meeting))
    first = replica.control.EndMeeting(asked, metadata=ADMIN)
    await until(lambda: provider.told == 1)
    async with serve(database, clock, provider) as other:
        for each in (replica, other):
            code, details = await refused(each.control.EndMeeting(asked, metadata=ADMIN))
            assert (code, details["ErrorInfo"].reason) == (grpc.StatusCode.ABORTED, "REQUEST_UNDER_WAY")
            assert details["RetryInfo"].retry_delay.seconds == 1
        first.cancel()
        provider.gate.set()
        await replica.parts.acts.close()
        answer = await other.control.EndMeeting(asked, metadata=ADMIN)
    assert (answer.act.outcome, provider.told) == (pb.CONTROL_OUTCOME_DONE, 1)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.02)


OUTCOMES: list[tuple[ProviderError, str, str]] = [
    (NotPermittedError("said"), "REFUSED", "NOT_PERMITTED"),
    (WrongStateError("said"), "REFUSED", "WRONG_STATE"),
    (NoSuchPersonError("said"), "REFUSED", "NO_SUCH_PERSON"),
    (NoSuchMeetingError("said"), "REFUSED", "NO_SUCH_MEETING"),
    (RateLimitedError("said"), "REFUSED", "RATE_LIMITED"),
    (MisconfiguredError("said"), "REFUSED", "PROVIDER_AWAY"),
    (UnsupportedError("said"), "REFUSED", "PROVIDER_REFUSED"),
    (ProviderError("said"), "REFUSED", "PROVIDER_REFUSED"),
    (AwayError("said"), "UNKNOWN", "PROVIDER_AWAY"),
]


@pytest.mark.parametrize(("error", "outcome", "refusal"), OUTCOMES, ids=lambda each: str(type(each).__name__))
async def test_what_the_provider_says_is_told(
    replica: Replica,
    provider: Steered,
    meeting: MeetingKey,
    database: Database,
    error: ProviderError,
    outcome: str,
    refusal: str,
) -> None:
    provider.before = lambda number: error
    answer = await replica.control.EndMeeting(pb.EndMeetingRequest(order=order(meeting)), metadata=ADMIN)
    assert pb.ControlOutcome.Name(answer.act.outcome) == f"CONTROL_OUTCOME_{outcome}"
    assert (answer.act.refusal, answer.act.provider_message) == (refusal, "said")
    [(kind, told)] = await events(database)
    assert (kind, told["refusal"]) == (outcome.lower(), refusal)
    assert (await entries(database))[0].outcome == outcome
    assert len((await list_phase(replica, listed.MEETING_PHASE_RUNNING)).meetings) == 1


async def test_an_error_of_ours_is_not_taken_for_a_refusal(
    replica: Replica, provider: Steered, meeting: MeetingKey
) -> None:
    provider.after = lambda number: ValueError("\0" + "x" * 1000)
    answer = await replica.control.EndMeeting(pb.EndMeetingRequest(order=order(meeting)), metadata=ADMIN)
    assert (answer.act.outcome, answer.act.refusal) == (pb.CONTROL_OUTCOME_UNKNOWN, "PROVIDER_AWAY")


async def test_two_hundred_at_once_with_one_in_five_failing(
    replica: Replica, provider: Steered, meeting: MeetingKey, database: Database, clock: HandClock
) -> None:
    """At two replicas. Some fail before they are done, some after: each is told truly, and none is done twice."""
    provider.before = lambda number: NotPermittedError("no") if number % 10 == 0 else None
    provider.after = lambda number: AwayError("gone") if number % 10 == 5 else None
    ann = await target(provider, meeting, "ann")

    async with serve(database, clock, provider) as other:

        async def rename(number: int) -> Any:
            asked = pb.RenamePersonRequest(
                order=order(meeting, f"request-{number}"), target=ann, display_name=f"name {number}"
            )
            served = (replica, other)[number % 2]
            return (await served.control.RenamePerson(asked, metadata=as_(f"admin:boss-{number % 4}"))).act

        acts = await asyncio.gather(*(rename(number) for number in range(200)))
        again = await asyncio.gather(*(rename(number) for number in range(200)))
    assert provider.told == 200
    done = {act.display_name for act in provider.done}  # type: ignore[union-attr] # only such
    assert len(done) == len(provider.done) == 180
    said = [pb.ControlOutcome.Name(each.outcome).removeprefix("CONTROL_OUTCOME_") for each in acts]
    assert (said.count("DONE"), said.count("REFUSED"), said.count("UNKNOWN")) == (160, 20, 20)
    for number, each in enumerate(acts):
        if each.outcome != pb.CONTROL_OUTCOME_UNKNOWN:
            assert (f"name {number}" in done) == (each.outcome == pb.CONTROL_OUTCOME_DONE)
    assert again == acts
    assert sorted(kind for kind, _ in await events(database)) == sorted(each.lower() for each in said)
    assert len(await entries(database)) == 200


async def test_what_was_under_way_when_a_process_died_is_unknown(
    replica: Replica, provider: Steered, meeting: MeetingKey, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, whoever finds it; and it is not done again."""
    provider.gate = asyncio.Event()  # nobody opens it: the process is gone
    asked = [pb.EndMeetingRequest(order=order(meeting, f"request-{each}")) for each in (1, 2)]
    calls = [replica.control.EndMeeting(each, metadata=ADMIN) for each in asked]
    await until(lambda: provider.told == 2)
    for each in calls:
        each.cancel()
    for task in [*replica.parts.acts.tasks]:
        task.cancel()
    await replica.parts.acts.close()
    assert await database.read(control_acts.are_abandoned) is False
    later = outbox.real_time() + acts_under_way.PATIENCE_MS + 1
    monkeypatch.setattr(outbox, "real_time", lambda: later)
    found = (await replica.control.EndMeeting(asked[0], metadata=ADMIN)).act
    assert (found.outcome, found.refusal) == (pb.CONTROL_OUTCOME_UNKNOWN, "PROVIDER_AWAY")
    assert await database.write(lambda c: control_acts.finish_abandoned(c, 7)) == 1
    assert await database.read(control_acts.are_abandoned) is False
    assert [kind for kind, _ in await events(database)] == ["unknown", "unknown"]
    told = await entries(database)
    assert [(each.outcome, each.actor, each.roles) for each in told] == [("UNKNOWN", "boss", "admin")] * 2
    assert provider.told == 2


async def test_an_outcome_is_never_changed(
    replica: Replica, provider: Steered, meeting: MeetingKey, database: Database
) -> None:
    """Whoever was given up for gone, and was not, comes too late."""
    act = (await replica.control.EndMeeting(pb.EndMeetingRequest(order=order(meeting)), metadata=ADMIN)).act
    late = await database.write(lambda c: control_acts.finish(c, act.act_id, control_acts.ABANDONED, 1))
    assert late.outcome == "DONE"
    assert len(await events(database)) == 1


async def test_nothing_is_stored_of_what_cannot_be_done(
    replica: Replica, provider: Steered, meeting: MeetingKey, database: Database
) -> None:
    """A meeting that nobody knows, one that does not run, a verb that the provider has not."""
    unknown = pb.EndMeetingRequest(order=order(MeetingKey("simulated", "999")))
    assert (await refused(replica.control.EndMeeting(unknown, metadata=ADMIN)))[0] is grpc.StatusCode.NOT_FOUND
    elsewhere = pb.EndMeetingRequest(order=order(MeetingKey("zoom", "1")))
    assert (await refused(replica.control.EndMeeting(elsewhere, metadata=ADMIN)))[0] is grpc.StatusCode.NOT_FOUND
    provider.acts = ACTS - {Admit}
    asked = pb.AdmitPeopleRequest(order=order(meeting), targets=[await target(provider, meeting, "ann")])
    code, details = await refused(replica.control.AdmitPeople(asked, metadata=ADMIN))
    assert (code, details["ErrorInfo"].reason) == (grpc.StatusCode.UNIMPLEMENTED, "NO_SUCH_VERB")
    shown = await replica.meetings.GetMeeting(api.GetMeetingRequest(meeting=to_key(meeting)), metadata=ADMIN)
    assert len(shown.verbs) == len(ACTS) - 1
    assert pb.CONTROL_VERB_ADMIT not in shown.verbs
    await provider.end_by_host(CODE, "li")
    code, details = await refused(
        replica.control.EndMeeting(pb.EndMeetingRequest(order=order(meeting)), metadata=ADMIN)
    )
    assert (code, details["ErrorInfo"].reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MEETING_NOT_RUNNING")
    number = sa.select(sa.func.count()).select_from(CONTROL_ACT)
    assert (await database.read(lambda c: c.scalar(number)), provider.told) == (0, 0)


WHOM = listed.Target(person_id="p")
BAD: list[tuple[str, Any, str]] = [
    ("EndMeeting", pb.EndMeetingRequest(), "order"),
    ("EndMeeting", pb.EndMeetingRequest(order=pb.ControlOrder(request_id="12345678")), "order.meeting"),
    ("EndMeeting", pb.EndMeetingRequest(order=order(MeetingKey("", "1"))), "order.meeting.provider"),
    ("EndMeeting", pb.EndMeetingRequest(order=order(MeetingKey("a", "1" * 65))), "order.meeting.meeting_id"),
    *(
        ("EndMeeting", pb.EndMeetingRequest(order=order(MeetingKey("a", "1"), each)), "order.request_id")
        for each in ("", "1234567", "1" * 65, "abc defgh", "abcdefg\n", "请求请求请求请求")
    ),
    ("EndMeeting", pb.EndMeetingRequest(order=order(MeetingKey("a", "1"), reason="x" * 201)), "order.reason"),
    ("EndMeeting", pb.EndMeetingRequest(order=order(MeetingKey("a", "1"), reason="a\nb")), "order.reason"),
    ("MutePerson", pb.MutePersonRequest(), "target"),
    ("MutePerson", pb.MutePersonRequest(target=listed.Target()), "target.person_id"),
    ("StopVideo", pb.StopVideoRequest(target=listed.Target(person_id="x" * 257)), "target.person_id"),
    ("StopSharing", pb.StopSharingRequest(target=listed.Target(person_id="p", terminal="\0")), "target.terminal"),
    ("SetCoHost", pb.SetCoHostRequest(), "target"),
    ("RemovePeople", pb.RemovePeopleRequest(), "targets"),
    ("RemovePeople", pb.RemovePeopleRequest(targets=[WHOM] * 21), "targets"),
    ("AdmitPeople", pb.AdmitPeopleRequest(targets=[WHOM, listed.Target()]), "targets[1].person_id"),
    ("PutInWaitingRoom", pb.PutInWaitingRoomRequest(), "targets"),
    ("TurnPeopleAway", pb.TurnPeopleAwayRequest(), "targets"),
    ("RenamePerson", pb.RenamePersonRequest(target=WHOM), "display_name"),
    ("RenamePerson", pb.RenamePersonRequest(target=WHOM, display_name=" "), "display_name"),
    ("RenamePerson", pb.RenamePersonRequest(target=WHOM, display_name="x" * 21), "display_name"),
    ("InviteMembers", pb.InviteMembersRequest(), "account_ids"),
    ("InviteMembers", pb.InviteMembersRequest(account_ids=[""]), "account_ids"),
    ("InviteMembers", pb.InviteMembersRequest(account_ids=["a"] * 101), "account_ids"),
    ("InviteMembers", pb.InviteMembersRequest(account_ids=["x" * 129]), "account_ids"),
    ("ChangeMeetingSettings", pb.ChangeMeetingSettingsRequest(), "settings"),
    ("ChangeMeetingSettings", pb.ChangeMeetingSettingsRequest(settings=pb.RunningSettings()), "settings"),
    (
        "ChangeMeetingSettings",
        pb.ChangeMeetingSettingsRequest(settings=pb.RunningSettings(chat=99)),  # type: ignore[arg-type] # on purpose
        "settings.chat",
    ),
    ("ListControlActs", pb.ListControlActsRequest(), "meeting.provider"),
]


async def test_bad_input_is_named_field_by_field(replica: Replica, provider: Steered) -> None:
    for method, request, field in BAD:
        if "order" in request.DESCRIPTOR.fields_by_name and not field.startswith("order"):
            request.order.CopyFrom(order(MeetingKey("simulated", "1")))
        code, details = await refused(getattr(replica.control, method)(request, metadata=ADMIN))
        assert code is grpc.StatusCode.INVALID_ARGUMENT, (method, field)
        assert details["BadRequest"].field_violations[0].field == field
    assert provider.told == 0


async def test_it_takes_the_permission(replica: Replica, meeting: MeetingKey, provider: Steered) -> None:
    """Not even whoever made the meeting steers it here without."""
    asked = pb.EndMeetingRequest(order=order(meeting))
    for who in ("booker:li", "support:helper", "service:booking"):
        code, _ = await refused(replica.control.EndMeeting(asked, metadata=as_(who)))
        assert code is grpc.StatusCode.PERMISSION_DENIED
    code, _ = await refused(
        replica.control.ListControlActs(pb.ListControlActsRequest(meeting=to_key(meeting)), metadata=as_("booker:li"))
    )
    assert (code, provider.told) == (grpc.StatusCode.PERMISSION_DENIED, 0)


async def test_acts_are_listed_page_by_page(
    replica: Replica, meeting: MeetingKey, provider: Steered, clock: HandClock
) -> None:
    ann = await target(provider, meeting, "ann")
    for number in range(7):
        clock.time += number % 2  # some at the same moment
        asked = pb.MutePersonRequest(order=order(meeting, f"request-{number}", str(number)), target=ann, muted=True)
        await replica.control.MutePerson(asked, metadata=ADMIN)
    seen, token = [], ""
    while True:
        request = pb.ListControlActsRequest(meeting=to_key(meeting), page_size=3, page_token=token)
        page = await replica.control.ListControlActs(request, metadata=ADMIN)
        seen += [each.reason for each in page.acts]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]
    unknown = pb.ListControlActsRequest(meeting=to_key(MeetingKey("simulated", "999")))
    assert (await refused(replica.control.ListControlActs(unknown, metadata=ADMIN)))[0] is grpc.StatusCode.NOT_FOUND
