"""Meetings that are made here: each once, never after it was unmade, whatever fails, comes twice or dies between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from yunhui.meetings.v1 import listed_meeting_pb2 as listed
from yunhui.meetings.v1 import making_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.meetings import making, making_requests, makings
from services.meetings.ledger_models import MEETING
from services.meetings.provider import (
    AwayError,
    MeetingKey,
    MisconfiguredError,
    NoSuchMeetingError,
    NoSuchPersonError,
    NotAskedError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
    UnsupportedError,
    WrongStateError,
)
from services.meetings.providers import Providers
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import HOUR, from_timestamp
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.meetings.builders import HandClock
from tests.meetings.made import DONE, REFUSED, START, UNKNOWN, Making, moved, stored, unwanted, wanted
from tests.meetings.served import ADMIN, as_, serve, to_key
from tests.meetings.swept import rows
from tests.meetings.test_control import until


@pytest.fixture
def provider(database: Database, clock: HandClock, webhook_events: WebhookEvents) -> Making:
    return Making(database, clock, webhook_events)


def replica(database: Database, clock: HandClock, provider: Making) -> making.Making:
    return making.Making(database, clock, Providers({"": provider}))


@pytest.fixture
async def maker(database: Database, clock: HandClock, provider: Making) -> AsyncIterator[making.Making]:
    made = replica(database, clock, provider)
    yield made
    await made.close()


async def test_a_meeting_is_made_moved_and_unmade(
    maker: making.Making, provider: Making, database: Database, clock: HandClock
) -> None:
    """The ledger shows it at once, each time; its link is for whoever made or hosts it."""
    answer = await maker.make(wanted(host_account_ids=["wang"], invitee_account_ids=["zhao"], password="123456"))
    made = answer.meeting
    assert (answer.outcome, made.provider, made.subject) == (DONE, "simulated", "组会")
    assert (made.creator_account_id, [*made.host_account_ids]) == ("li", ["li", "wang"])
    assert (made.state, len(made.meeting_code)) == (meeting_pb2.MEETING_STATE_SCHEDULED, 9)
    [occurrence] = made.occurrences
    assert (from_timestamp(occurrence.start_time), from_timestamp(occurrence.end_time)) == (START, START + HOUR)

    key = MeetingKey("simulated", made.meeting_id)
    async with serve(database, clock, provider) as served:
        asked = api.GetMeetingRequest(meeting=to_key(key))
        shown = await served.meetings.GetMeeting(asked, metadata=as_("booker:li"))
        assert shown.meeting.phase == listed.MEETING_PHASE_COMING
        assert shown.meeting.kind == listed.MEETING_KIND_SINGLE
        assert shown.join_url == f"https://meeting.invalid/join?meeting_code={made.meeting_code}"
        assert (await served.meetings.GetMeeting(asked, metadata=as_("admin:wang"))).join_url == shown.join_url
        assert (await served.meetings.GetMeeting(asked, metadata=ADMIN)).join_url == ""

        answer = await maker.move(moved(START + HOUR, START + 3 * HOUR))
        assert (answer.outcome, from_timestamp(answer.meeting.occurrences[0].end_time)) == (DONE, START + 3 * HOUR)
        shown = await served.meetings.GetMeeting(asked, metadata=as_("booker:li"))
        assert from_timestamp(shown.meeting.start_time) == START + HOUR
        assert (await provider.get(made.meeting_id, "li")).occurrences[0].start_time == START + HOUR

        assert await maker.unmake(unwanted()) == pb.MakingResponse(outcome=DONE)
        shown = await served.meetings.GetMeeting(asked, metadata=as_("booker:li"))
        assert shown.meeting.phase == listed.MEETING_PHASE_CANCELLED
    assert (await provider.get(made.meeting_id, "li")).state == "CANCELLED"
    assert provider.asked == ["make", "move", "call off"]


async def test_each_may_be_asked_again_and_comes_to_the_same(maker: making.Making, provider: Making) -> None:
    first = await maker.make(wanted())
    assert await maker.make(wanted()) == first
    there = await maker.move(moved(START + HOUR, START + 2 * HOUR))
    assert await maker.move(moved(START + HOUR, START + 2 * HOUR)) == there
    assert await maker.make(wanted()) == there  # as it is now
    for _ in range(2):
        assert (await maker.unmake(unwanted())).outcome == DONE
    for answer in (await maker.make(wanted()), await maker.move(moved(START, START + HOUR))):
        assert (answer.outcome, answer.refusal, answer.HasField("meeting")) == (REFUSED, "UNMADE", False)
    assert provider.asked == ["make", "move", "move", "call off"]


async def test_what_is_unmade_first_is_never_made(maker: making.Making, provider: Making, database: Database) -> None:
    assert (await maker.unmake(unwanted())).outcome == DONE
    answer = await maker.make(wanted())
    assert (answer.outcome, answer.refusal, provider.asked) == (REFUSED, "UNMADE", [])
    assert not rows(database)


async def test_what_was_never_made_cannot_be_moved(maker: making.Making, provider: Making) -> None:
    answer = await maker.move(moved(START, START + HOUR))
    assert (answer.outcome, answer.refusal, provider.asked) == (REFUSED, "WRONG_STATE", [])
    assert (await maker.make(wanted())).outcome == DONE  # nothing was stored of it


async def test_two_at_once_come_to_one(
    maker: making.Making, provider: Making, database: Database, clock: HandClock
) -> None:
    """At two replicas, also the first time."""
    other = replica(database, clock, provider)
    answers = await asyncio.gather(*((maker, other)[number % 2].make(wanted()) for number in range(6)))
    assert [each.outcome for each in answers] == [DONE] * 6
    assert len({each.meeting.meeting_id for each in answers}) == 1
    assert provider.asked == ["make"]
    assert {each.outcome for each in await asyncio.gather(*(each.unmake(unwanted()) for each in (maker, other)))} == {
        DONE
    }
    assert provider.asked == ["make", "call off"]
    await other.close()


async def test_another_meeting_with_the_same_id_is_refused(maker: making.Making, provider: Making) -> None:
    await maker.make(wanted())
    for asked in (wanted(subject="another"), wanted(creator="wang")):
        with pytest.raises(errors.RpcError, match="making_id"):
            await maker.make(asked)
    assert provider.asked == ["make"]


REFUSALS: list[tuple[ProviderError, str]] = [
    (UnsupportedError("said"), "UNSUPPORTED"),
    (NotPermittedError("said"), "NOT_PERMITTED"),
    (WrongStateError("said"), "WRONG_STATE"),
    (NoSuchPersonError("said"), "NO_SUCH_PERSON"),
    (ProviderError("said"), "PROVIDER_REFUSED"),
]


@pytest.mark.parametrize(("error", "refusal"), REFUSALS, ids=lambda each: type(each).__name__)
async def test_what_the_provider_refuses_is_told(
    maker: making.Making, provider: Making, database: Database, error: ProviderError, refusal: str
) -> None:
    """And again without asking it; what is refused a move or its end stays as it is."""
    provider.before = lambda what, number: error
    expected = pb.MakingResponse(outcome=REFUSED, refusal=refusal, provider_message="said")
    assert await maker.make(wanted()) == expected
    assert await maker.make(wanted()) == expected
    assert provider.asked == ["make"]
    assert not rows(database)
    provider.before = lambda what, number: None if what == "make" else error
    there = await maker.make(wanted("m-2"))
    assert await maker.move(moved(START, START + 2 * HOUR, "m-2")) == expected
    assert await maker.unmake(unwanted("m-2")) == expected
    assert await maker.make(wanted("m-2")) == there


NOTHING: list[AwayError] = [NotAskedError("no"), RateLimitedError("no", 7), MisconfiguredError("no")]


@pytest.mark.parametrize("error", NOTHING, ids=lambda each: type(each).__name__)
async def test_where_nothing_was_done_it_can_be_asked_again(
    maker: making.Making, provider: Making, error: AwayError
) -> None:
    """Each time the first one fails."""
    provider.before = lambda what, number: error if number == 1 else None
    asks: list[Callable[[], Awaitable[pb.MakingResponse]]] = [
        lambda: maker.make(wanted()),
        lambda: maker.move(moved(START, START + 2 * HOUR)),
        lambda: maker.unmake(unwanted()),
    ]
    for ask in asks:
        with pytest.raises(errors.RpcError) as caught:
            await ask()
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        assert (await ask()).outcome == DONE
    assert provider.asked == ["make", "make", "move", "move", "call off", "call off"]


async def test_what_could_not_be_made_and_is_unmade_is_not_made(maker: making.Making, provider: Making) -> None:
    provider.before = lambda what, number: NotAskedError("no")
    with pytest.raises(errors.RpcError):
        await maker.make(wanted())
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert (await maker.make(wanted())).refusal == "UNMADE"
    assert provider.asked == ["make"]


@pytest.mark.parametrize("error", [AwayError("lost"), ValueError("ours")], ids=["away", "ours"])
async def test_a_lost_answer_is_looked_for(
    maker: making.Making, provider: Making, database: Database, error: Exception
) -> None:
    provider.after = lambda what, number: error if number == 1 else None
    assert await maker.make(wanted()) == pb.MakingResponse(outcome=UNKNOWN)
    assert (await stored(database)).state == "ASKED"
    assert (await maker.move(moved(START, START + 2 * HOUR))).outcome == UNKNOWN  # of what, is not known
    for outcome in (UNKNOWN, DONE):  # the look is in vain once, too
        assert (await maker.make(wanted())).outcome == outcome
    assert provider.asked == ["make", "find", "find"]
    for outcome in (UNKNOWN, DONE):
        assert (await maker.move(moved(START, START + 2 * HOUR))).outcome == outcome
    for outcome in (UNKNOWN, DONE):
        assert (await maker.unmake(unwanted())).outcome == outcome
    assert provider.asked == ["make", "find", "find", "move", "move", "call off", "call off"]
    [row] = rows(database)
    assert row.phase == "CANCELLED"


async def test_one_whose_answer_was_lost_is_found_and_unmade(
    maker: making.Making, provider: Making, database: Database
) -> None:
    """Also when the look is in vain at first: from the first time on nothing is made."""
    provider.after = lambda what, number: AwayError("lost") if number == 1 and what != "call off" else None
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.unmake(unwanted())).outcome == UNKNOWN
    assert (await maker.make(wanted())).refusal == "UNMADE"
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert provider.asked == ["make", "find", "find", "call off"]
    assert [row.phase for row in rows(database)] == ["CANCELLED"]


async def test_one_that_surely_was_not_made_is_made(maker: making.Making, provider: Making) -> None:
    provider.before = lambda what, number: AwayError("lost") if (what, number) == ("make", 1) else None
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.make(wanted())).outcome == DONE
    assert provider.asked == ["make", "find", "make"]


async def test_unmade_while_it_is_being_made(
    maker: making.Making, provider: Making, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever unmakes it waits, and calls off what came about; whoever made it is told that it is unmade."""
    provider.gate = asyncio.Event()
    making_it = asyncio.create_task(maker.make(wanted()))
    await until(lambda: provider.asked == ["make"])
    unmaking_it = asyncio.create_task(maker.unmake(unwanted()))
    while not (await stored(database)).unwanted:  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.01)
    provider.gate.set()
    assert (await making_it).refusal == "UNMADE"
    assert (await unmaking_it).outcome == DONE
    assert provider.asked == ["make", "call off"]
    assert [row.phase for row in rows(database)] == ["CANCELLED"]


async def test_whoever_waits_too_long_is_told_that_nobody_knows(
    maker: making.Making, provider: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun goes on."""
    provider.gate = asyncio.Event()
    monkeypatch.setattr(making, "PAUSES", (0.01,))
    monkeypatch.setattr(making, "ANSWER_SECONDS", 0.3)
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.move(moved(START, START + 2 * HOUR))).outcome == UNKNOWN
    provider.gate.set()
    await maker.close()
    monkeypatch.setattr(making, "ANSWER_SECONDS", 60.0)
    assert (await maker.make(wanted())).outcome == DONE
    assert provider.asked == ["make"]


@pytest.mark.parametrize("came_about", [True, False])
async def test_a_process_that_dies_between_leaves_what_can_be_resolved(
    database: Database,
    clock: HandClock,
    provider: Making,
    maker: making.Making,
    came_about: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once whoever began it must be gone. By make, and by unmake."""
    dying = replica(database, clock, provider)
    for each in ("m-1", "m-2"):
        if came_about:
            await provider.make(making_requests.plan(wanted(each)), "li", each)
    provider.asked.clear()
    provider.gate = asyncio.Event()
    begun = [asyncio.create_task(dying.make(wanted(each))) for each in ("m-1", "m-2")]
    await until(lambda: len(provider.asked) == 2)
    for task in [*dying._under_way, *begun]:
        task.cancel()
    await dying.close()
    provider.gate = None
    monkeypatch.setattr(making, "PAUSES", (0.01,))
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.unmake(unwanted("m-2"))).outcome == UNKNOWN
    later = outbox.real_time() + makings.PATIENCE_MS + 1
    monkeypatch.setattr(outbox, "real_time", lambda: later)
    assert (await maker.make(wanted())).outcome == DONE
    assert (await maker.unmake(unwanted("m-2"))).outcome == DONE
    phases = {row.subject: row.phase for row in rows(database)}
    assert phases == {"组会": "COMING"} or sorted(row.phase for row in rows(database)) == ["CANCELLED", "COMING"]


async def test_what_is_over_or_gone_counts_as_unmade(maker: making.Making, provider: Making, clock: HandClock) -> None:
    """It cannot be moved; while it runs it cannot be unmade."""
    codes = [(await maker.make(wanted(each))).meeting.meeting_code for each in ("m-1", "m-2", "m-3")]
    await provider.cancel(codes[0], "li")
    answer = await maker.move(moved(START, START + 2 * HOUR))
    assert (answer.outcome, answer.refusal) == (REFUSED, "WRONG_STATE")
    assert (await maker.unmake(unwanted())).outcome == DONE
    clock.time = START
    await provider.enter(codes[1], "li")
    answer = await maker.unmake(unwanted("m-2"))
    assert (answer.outcome, answer.refusal) == (REFUSED, "WRONG_STATE")
    running = await maker.make(wanted("m-2"))
    assert (running.outcome, running.meeting.state) == (DONE, meeting_pb2.MEETING_STATE_RUNNING)
    clock.time = START + HOUR
    assert (await maker.unmake(unwanted("m-3"))).outcome == DONE


async def test_a_provider_that_is_not_in_use_any_more(
    maker: making.Making, provider: Making, database: Database, clock: HandClock, webhook_events: WebhookEvents
) -> None:
    """Nobody can say, and nothing is forgotten."""
    await maker.make(wanted())
    another = Making(database, clock, webhook_events)
    another.name = "another"
    now = making.Making(database, clock, Providers({"": another}))
    assert (await now.make(wanted())).outcome == DONE
    assert (await now.move(moved(START, START + 2 * HOUR))).outcome == UNKNOWN
    assert (await now.unmake(unwanted())).outcome == UNKNOWN
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert another.asked == []


async def test_that_there_is_none_is_said_by_a_provider_that_raises_it(maker: making.Making, provider: Making) -> None:
    provider.before = lambda what, number: NoSuchMeetingError("gone") if what != "make" else None
    await maker.make(wanted())
    assert (await maker.move(moved(START, START + 2 * HOUR))).refusal == "WRONG_STATE"
    assert (await maker.unmake(unwanted())).outcome == DONE


BAD: list[tuple[pb.MakeMeetingRequest, str]] = [
    (wanted(""), "making_id"),
    (wanted("x" * 65), "making_id"),
    (wanted("a b"), "making_id"),
    (wanted("组"), "making_id"),
    (wanted(creator=""), "creator_account_id"),
    (wanted(creator=" "), "creator_account_id"),
    (wanted(creator="x" * 129), "creator_account_id"),
    (wanted(subject=" "), "subject"),
    (wanted(subject="x" * 201), "subject"),
    (wanted(start=0), "start_time"),
    (wanted(start=START + 1), "start_time"),
    (wanted(end=START + HOUR + 999), "end_time"),
    (wanted(end=START), "end_time"),
    (wanted(time_zone="Mars/Olympus"), "options.time_zone"),
    (wanted(password="123"), "options.password"),
    (wanted(password="1234567"), "options.password"),
    (wanted(password="١٢٣٤"), "options.password"),
    (wanted(password="12a4"), "options.password"),
    (wanted(invitee_account_ids=[f"a{each}" for each in range(301)]), "options.invitee_account_ids"),
    (wanted(invitee_account_ids=["a", ""]), "options.invitee_account_ids[1]"),
    (wanted(host_account_ids=[f"a{each}" for each in range(11)]), "options.host_account_ids"),
    (wanted(host_account_ids=["x" * 129]), "options.host_account_ids[0]"),
]


async def test_bad_input_is_named_field_by_field(maker: making.Making, provider: Making, database: Database) -> None:
    for asked, field in BAD:
        with pytest.raises(errors.RpcError) as caught:
            await maker.make(asked)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert str(caught.value).startswith(f"{field}: "), field
    with pytest.raises(errors.RpcError, match="end_time"):
        await maker.move(moved(START, START))
    with pytest.raises(errors.RpcError, match="making_id"):
        await maker.unmake(unwanted(""))
    assert provider.asked == []


async def test_what_is_just_good_enough_is_taken(maker: making.Making, database: Database) -> None:
    """And a password is stored nowhere."""
    most: dict[str, Any] = {
        "time_zone": "Europe/Berlin",
        "invitee_account_ids": [f"a{each}" for each in range(300)],
        "host_account_ids": [f"h{each}" for each in range(10)],
        "password": "907531",
    }
    answer = await maker.make(wanted("x" * 64, end=START + 1000, subject="y" * 200, **most))
    assert (answer.outcome, len(answer.meeting.host_account_ids)) == (DONE, 11)
    assert (await maker.make(wanted("Az09._-", creator="z" * 128, subject="z", password="0000"))).outcome == DONE

    def everything(connection: object) -> str:
        found = []
        for table in MEETING.metadata.sorted_tables:
            if table.name in tables:
                found += [str(row) for row in connection.execute(table.select())]  # type: ignore[attr-defined]
        return " ".join(found)

    tables = {"making", "meeting", "simulated_meeting", "simulated_plan", "report", "outbox", "audit_entry"}
    assert "907531" not in await database.read(everything)
