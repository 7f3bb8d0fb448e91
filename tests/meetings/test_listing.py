"""The ledger as it is asked: lists by key, one meeting, its people, its visits, its quality, and its changes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.meetings.v1 import listed_meeting_pb2 as listed
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api

from services.meetings import heard, ledger, listing
from services.meetings.ledger_models import MEETING, QUALITY
from services.meetings.people_now import PeopleNow
from services.meetings.provider import AwayError, Kind, ListedMeeting, MeetingKey, Phase
from services.meetings.sweeps import write_read_time
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import DAY, HOUR, to_timestamp
from services.platform.data.database import Database
from services.platform.data.rows import open_session
from tests.meetings.builders import HandClock
from tests.meetings.served import ADMIN, Replica, as_, serve, to_key
from tests.meetings.test_control import Steered
from tests.meetings.test_gateway import refused

CODE = "123456789"
COMING, RUNNING, ENDED = (listed.MeetingPhase.Value(f"MEETING_PHASE_{each}") for each in ("COMING", "RUNNING", "ENDED"))


@pytest.fixture
def provider(database: Database, clock: HandClock, webhook_events: WebhookEvents) -> Steered:
    return Steered(database, clock, webhook_events)


@pytest.fixture
async def replica(database: Database, clock: HandClock, provider: Steered) -> AsyncIterator[Replica]:
    async with serve(database, clock, provider) as made:
        yield made


def put(database: Database, clock: HandClock, *meetings: ListedMeeting) -> None:
    with database.engine.begin() as connection, open_session(connection) as session:
        ledger.lock(connection)
        heard.hear(session, meetings, clock.time, clock.time)


def ended(number: int, end: int, subject: str = "x", creator: str = "li", kind: Kind = Kind.SINGLE) -> ListedMeeting:
    key = MeetingKey("simulated", f"m{number}")
    code = f"{100_000_000 + number % 3}"
    return ListedMeeting(key, Phase.ENDED, code, subject, creator, "李", kind, end - HOUR, end, people=3)


async def ask(replica: Replica, who: Any = ADMIN, **asked: Any) -> api.ListMeetingsResponse:
    request = api.ListMeetingsRequest(**({"phase": ENDED} | asked))
    answer: api.ListMeetingsResponse = await replica.meetings.ListMeetings(request, metadata=who)
    return answer


def names(answer: api.ListMeetingsResponse) -> list[str]:
    return [each.meeting.meeting_id for each in answer.meetings]


async def test_pages_are_the_whole_list_once(replica: Replica, database: Database, clock: HandClock) -> None:
    """In order, whatever the size; also of those that ended at the same moment, and while others come in front."""
    put(database, clock, *(ended(number, clock.time - 1000 * (number // 4)) for number in range(23)))
    whole = names(await ask(replica, page_size=500))
    assert len(whole) == 23
    for size in (1, 4, 7, 22, 23):
        seen, token, total = list[str](), "", set()
        while True:
            page = await ask(replica, page_size=size, page_token=token)
            seen, token = seen + names(page), page.next_page_token
            total.add(page.total_count)
            if not token:
                break
        assert (seen, total) == (whole, {23})
    first = await ask(replica, page_size=10)
    put(database, clock, ended(99, clock.time + 1))
    rest = await ask(replica, page_size=500, page_token=first.next_page_token)
    assert names(first) + names(rest) == whole


async def test_filters_choose(replica: Replica, database: Database, clock: HandClock) -> None:
    now = clock.time
    put(
        database,
        clock,
        ended(1, now - DAY, "Weekly Ärger", "li"),
        ended(2, now - 2 * DAY, "100% sicher_", "wang", Kind.WEBINAR),
        ended(3, now - 3 * DAY, "组会 ÄRGER", "li"),
    )
    assert names(await ask(replica)) == ["m1", "m2", "m3"]
    assert names(await ask(replica, query="ärger")) == ["m1", "m3"]
    assert names(await ask(replica, query="%")) == ["m2"]
    assert names(await ask(replica, query="r_")) == ["m2"]
    assert names(await ask(replica, creator_account_id="wang")) == ["m2"]
    assert names(await ask(replica, kind=listed.MEETING_KIND_WEBINAR)) == ["m2"]
    assert names(await ask(replica, meeting_code="100-000-001")) == ["m1"]
    window = {"start_time": to_timestamp(now - 2 * DAY), "end_time": to_timestamp(now - DAY - HOUR)}
    assert names(await ask(replica, **window)) == []  # what ends as it begins is not in it, nor what begins as it ends
    window = {"start_time": to_timestamp(now - 2 * DAY - 1), "end_time": to_timestamp(now - DAY - HOUR + 1)}
    assert names(await ask(replica, **window)) == ["m1", "m2"]
    assert names(await ask(replica, phase=RUNNING)) == names(await ask(replica, phase=COMING)) == []


async def test_lists_are_in_the_order_that_people_look_for(
    replica: Replica, provider: Steered, database: Database, clock: HandClock
) -> None:
    put(
        database,
        clock,
        *(
            ListedMeeting(
                MeetingKey("simulated", f"c{each}"), Phase.COMING, "", "x", "li", "", Kind.SINGLE, at, at + HOUR
            )
            for each, at in enumerate([clock.time + 2 * HOUR, clock.time + HOUR])
        ),
    )
    assert names(await ask(replica, phase=COMING)) == ["c1", "c0"]


async def test_bad_questions_are_named(replica: Replica) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"phase": 0}, "phase"),
        ({"phase": 99}, "phase"),
        ({"kind": 99}, "kind"),
        ({"start_time": Timestamp(seconds=-1)}, "start_time"),
        ({"end_time": Timestamp(seconds=2**60)}, "end_time"),
        ({"start_time": Timestamp(seconds=9), "end_time": Timestamp(seconds=9)}, "end_time"),
        ({"meeting_code": "12"}, "meeting_code"),
        ({"query": "x" * 101}, "query"),
        ({"query": "a\0"}, "query"),
        ({"creator_account_id": "x" * 129}, "creator_account_id"),
        ({"page_size": -1}, "page_size"),
        ({"page_size": 501}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"page_token": "WzEsICJ4Il0="}, "page_token"),
    ]
    for asked, field in bad:
        code, details = await refused(ask(replica, **asked))
        assert (code, details["BadRequest"].field_violations[0].field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    key = pb.MeetingKey(provider="a", meeting_id="1")
    others: list[tuple[str, Any]] = [
        ("GetMeeting", api.GetMeetingRequest()),
        ("ListPeople", api.ListPeopleRequest(meeting=pb.MeetingKey(provider="a"))),
        ("ListVisits", api.ListVisitsRequest(meeting=key, page_size=501)),
        ("ListVisits", api.ListVisitsRequest(meeting=key, page_token="?")),
        ("GetQuality", api.GetQualityRequest(meeting=key, account_id="x" * 129)),
    ]
    for method, request in others:
        code, _ = await refused(getattr(replica.meetings, method)(request, metadata=ADMIN))
        assert code is grpc.StatusCode.INVALID_ARGUMENT, method


async def test_of_anothers_meeting_nothing_is_told(replica: Replica, database: Database, clock: HandClock) -> None:
    """What is another's answers as what does not exist."""
    put(database, clock, ended(1, clock.time), ended(2, clock.time, creator="wang"))
    assert names(await ask(replica, as_("booker:li"))) == ["m1"]
    assert names(await ask(replica, as_("booker:li"), creator_account_id="li")) == ["m1"]
    code, _ = await refused(ask(replica, as_("booker:li"), creator_account_id="wang"))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert names(await ask(replica, as_("support:li"))) == ["m2", "m1"]
    for method, kind in (
        ("GetMeeting", api.GetMeetingRequest),
        ("ListPeople", api.ListPeopleRequest),
        ("ListVisits", api.ListVisitsRequest),
        ("GetQuality", api.GetQualityRequest),
    ):
        call = getattr(replica.meetings, method)
        for absent in ("m2", "m3"):
            request = kind(meeting=pb.MeetingKey(provider="simulated", meeting_id=absent))
            assert (await refused(call(request, metadata=as_("booker:li"))))[0] is grpc.StatusCode.NOT_FOUND
        await call(kind(meeting=pb.MeetingKey(provider="simulated", meeting_id="m1")), metadata=as_("booker:li"))
    watched = api.WatchMeetingsRequest(meetings=[pb.MeetingKey(provider="simulated", meeting_id="m2")])
    stream = replica.meetings.WatchMeetings(watched, metadata=as_("booker:li"))
    assert (await refused(stream.read()))[0] is grpc.StatusCode.NOT_FOUND


async def test_it_is_said_when_a_list_was_read(replica: Replica, database: Database, clock: HandClock) -> None:
    assert not (await ask(replica)).HasField("as_of")
    await database.write(lambda c: write_read_time(c, "simulated", Phase.ENDED, clock.time))
    assert (await ask(replica)).as_of == to_timestamp(clock.time)
    assert not (await ask(replica, phase=RUNNING)).HasField("as_of")


async def running(provider: Steered, clock: HandClock) -> MeetingKey:
    made = await provider.create(CODE, "x", "li", clock.time, clock.time + HOUR)
    for account in ("ann", "li"):
        await provider.enter(CODE, account)
    clock.time += 1000
    return MeetingKey("simulated", made.meeting_id)


async def test_people_are_asked_for_once_by_all_who_look(replica: Replica, provider: Steered, clock: HandClock) -> None:
    key = await running(provider, clock)
    asked = api.ListPeopleRequest(meeting=to_key(key))
    answers = await asyncio.gather(*(replica.meetings.ListPeople(asked, metadata=ADMIN) for _ in range(20)))
    assert provider.looked == 1
    [answer] = {each.SerializeToString(): each for each in answers}.values()
    assert (answer.knowledge, answer.waiting_known) == (pb.KNOWLEDGE_KNOWN, True)
    assert [each.account_id for each in answer.people] == ["li", "ann"]  # the host first


async def test_people_that_the_provider_cannot_tell_are_unknown(
    replica: Replica, provider: Steered, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await running(provider, clock)

    async def away(key: MeetingKey) -> Any:
        raise AwayError("gone")

    monkeypatch.setattr(provider, "inside", away)
    answer = await replica.meetings.ListPeople(api.ListPeopleRequest(meeting=to_key(key)), metadata=ADMIN)
    assert (answer.knowledge, answer.unknown_reason) == (pb.KNOWLEDGE_UNKNOWN, "PROVIDER_AWAY")


async def test_what_was_asked_before_an_act_is_not_told_after_it(provider: Steered, clock: HandClock) -> None:
    key, people = await running(provider, clock), PeopleNow(clock, now=lambda: 0.0)
    await people.of(provider, key, "li")
    await people.of(provider, key, "li")
    assert provider.looked == 1
    people.forget(key)
    await people.of(provider, key, "li")
    assert provider.looked == 2


async def test_visits_are_in_the_order_of_entering(replica: Replica, provider: Steered, clock: HandClock) -> None:
    key = await running(provider, clock)
    for number in range(5):
        clock.time += 1000
        await provider.enter(CODE, f"guest-{number}")
    seen, token = list[str](), ""
    while True:
        asked = api.ListVisitsRequest(meeting=to_key(key), page_size=3, page_token=token)
        page = await replica.meetings.ListVisits(asked, metadata=ADMIN)
        seen, token = seen + [each.account_id for each in page.visits], page.next_page_token
        assert not page.complete
        if not token:
            break
    assert seen == ["ann", "li", *(f"guest-{number}" for number in range(5))]


async def test_quality_is_told_as_it_was_sampled(
    replica: Replica, provider: Steered, clock: HandClock, database: Database
) -> None:
    key = await running(provider, clock)
    with database.engine.begin() as connection, open_session(connection) as session:
        row = ledger.find(session, key)
        assert row
        sample = {"meeting_row": row.id, "person": "p", "display_name": "A", "delay": 12.5, "bad": False}
        samples = [sample | {"account": account, "sample_time": at} for account, at in (("b", 2), ("a", 1), ("a", 3))]
        connection.execute(sa.insert(QUALITY), samples)
    asked = api.GetQualityRequest(meeting=to_key(key))
    told = (await replica.meetings.GetQuality(asked, metadata=ADMIN)).samples
    assert [(each.account_id, each.delay_ms, each.HasField("upstream_loss")) for each in told] == [
        ("a", 12.5, False),
        ("b", 12.5, False),
        ("a", 12.5, False),
    ]
    asked.account_id = "b"
    assert len((await replica.meetings.GetQuality(asked, metadata=ADMIN)).samples) == 1


async def test_a_watcher_sees_what_another_replica_is_told(
    replica: Replica, provider: Steered, clock: HandClock
) -> None:
    """First the named ones as they are; changes of others not at all; and the stream ends when the program stops."""
    key = await running(provider, clock)
    looking = asyncio.create_task(replica.watchers.run())
    named = replica.meetings.WatchMeetings(api.WatchMeetingsRequest(meetings=[to_key(key)]), metadata=ADMIN)
    all_of_them = replica.meetings.WatchMeetings(api.WatchMeetingsRequest(), metadata=ADMIN)
    of_another = replica.meetings.WatchMeetings(api.WatchMeetingsRequest(), metadata=as_("booker:wang"))
    for stream in (named, all_of_them, of_another):
        await stream.initial_metadata()
    first = (await named.read()).meeting
    assert (first.meeting, first.inside_count) == (to_key(key), 2)
    await provider.create("123456780", "x", "wang", clock.time, clock.time + HOUR)
    await provider.enter("123456780", "wang")
    await provider.leave(CODE, "ann")
    after = (await named.read()).meeting
    assert (after.meeting, after.inside_count, after.version > first.version) == (to_key(key), 1, True)
    seen = [(await all_of_them.read()).meeting.meeting.meeting_id for _ in range(2)]
    assert sorted(seen) == sorted({key.meeting_id, str(int(key.meeting_id) + 1)})
    assert (await of_another.read()).meeting.creator_account_id == "wang"
    replica.watchers.close()
    for stream in (named, all_of_them, of_another):
        assert (await refused(stream.read()))[0] is grpc.StatusCode.UNAVAILABLE
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_at_most_two_hundred_are_watched_by_name(replica: Replica) -> None:
    keys = [pb.MeetingKey(provider="simulated", meeting_id=str(each)) for each in range(201)]
    stream = replica.meetings.WatchMeetings(api.WatchMeetingsRequest(meetings=keys), metadata=ADMIN)
    assert (await refused(stream.read()))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_year_is_looked_through_by_index(database: Database) -> None:
    """No list reads the table from end to end, nor sorts what it found: on a small table the plan is the same."""
    c, keys = MEETING.c, (MEETING.c.sort_time, MEETING.c.id)
    base = sa.select(c.id).order_by(*(key.desc() for key in keys)).limit(51)
    asked = {
        "a list": base.where(c.phase == "ENDED"),
        "the next page": base.where(c.phase == "ENDED", sa.tuple_(*keys) < sa.tuple_(9, 9)),
        "words": base.where(c.phase == "ENDED", c.subject_folded.contains("x", autoescape=True)),
        "a window": base.where(c.phase == "ENDED", c.over_time > 5, c.begin_time < 9),
        "a creator's": base.where(c.phase == "ENDED", c.creator == "li"),
        "a number's": base.where(c.phase == "ENDED", c.meeting_code == CODE),
        "newer": sa.select(MEETING).where(c.version > 7).order_by(c.version).limit(500),
    }
    for what, query in asked.items():
        plan = await database.read(lambda connection, query=query: explained(connection, query))  # type: ignore[misc]
        assert "meeting_" in plan, (what, plan)
        assert "TEMP B-TREE" not in plan, (what, plan)
        assert "Seq Scan" not in plan, (what, plan)


def explained(connection: sa.Connection, query: Any) -> str:
    sql = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
    if connection.dialect.name == "sqlite":
        return "\n".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    connection.exec_driver_sql("SET LOCAL enable_sort = off")
    return "\n".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN {sql.replace('%', '%%')}"))


def test_at_most_so_many_are_counted() -> None:
    assert listing.MOST_COUNTED == 10_000
