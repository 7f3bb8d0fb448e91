"""Recordings: told whole or not at all, seen by whom they belong to, and what is done to them is done once."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from yunhui.meetings.v1 import control_service_pb2 as control
from yunhui.meetings.v1 import recording_pb2 as pb
from yunhui.meetings.v1 import recording_service_pb2 as api

from services.meetings import recording_acts
from services.meetings.provider import (
    AwayError,
    IncompleteError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
    WrongStateError,
)
from services.meetings.recording_models import ACT
from services.meetings.recordings import RecordingKey, RecordingPage, RecordingQuery, Sharing
from services.meetings.simulated import Simulated
from services.meetings.simulated_acts import Deed
from services.meetings.simulated_recordings import ADDRESS, TRANSCODING, SimulatedRecordings
from services.meetings.simulated_scene import Visitor
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.messaging import outbox
from tests.meetings.builders import HandClock
from tests.meetings.recorded import CODE, Recorded, many, record, refused, serve
from tests.meetings.served import ADMIN, as_

LI, EVE, SUPPORT = as_("booker:li"), as_("booker:eve"), as_("support:sue")


class Kept(SimulatedRecordings):
    """Counts what it is asked, and fails before or after as it is told."""

    def __init__(self, database: Database, clock: HandClock) -> None:
        super().__init__(database, clock)
        self.calls: list[str] = []
        self.before: Callable[[str, int], Exception | None] = lambda what, page: None
        self.after: Callable[[str, int], Exception | None] = lambda what, page: None
        self.gate: asyncio.Barrier | None = None

    def count(self, what: str, page: int = 0) -> None:
        self.calls.append(what)
        if error := self.before(what, page):
            raise error

    async def recordings(self, query: RecordingQuery, page: int) -> RecordingPage:
        self.count("list", page)
        return await super().recordings(query, page)

    async def share_recording(self, key: RecordingKey, sharing: Sharing, password: str, creator: str) -> None:
        self.count("share")
        await super().share_recording(key, sharing, password, creator)
        if error := self.after("share", 0):
            raise error

    async def delete_recording(self, key: RecordingKey, file_id: str, creator: str) -> None:
        self.count("delete")
        if self.gate:
            await self.gate.wait()  # all have come
            await self.gate.wait()
        await super().delete_recording(key, file_id, creator)
        if error := self.after("delete", 0):
            raise error


@pytest.fixture
def kept(database: Database, clock: HandClock) -> Kept:
    return Kept(database, clock)


@pytest.fixture
async def served(database: Database, clock: HandClock, simulated: Simulated, kept: Kept) -> AsyncIterator[Recorded]:
    async with serve(database, clock, simulated, {"simulated": kept}) as made:
        yield made


async def listed(served: Recorded, who: Any = ADMIN, **more: Any) -> list[pb.Recording]:
    """Every page of it."""
    found, token = list[pb.Recording](), ""
    while True:
        answer = await served.api.ListRecordings(api.ListRecordingsRequest(page_token=token, **more), metadata=who)
        found += answer.recordings
        token = answer.next_page_token
        if not token:
            return found


async def one(served: Recorded) -> pb.Recording:
    [found] = await listed(served)
    return found


async def get(served: Recorded, recording_id: str, who: Any = ADMIN) -> api.GetRecordingResponse:
    answer: api.GetRecordingResponse = await served.api.GetRecording(
        api.GetRecordingRequest(recording_id=recording_id), metadata=who
    )
    return answer


async def links(served: Recorded, recording_id: str, who: Any = ADMIN) -> api.GetRecordingLinksResponse:
    answer: api.GetRecordingLinksResponse = await served.api.GetRecordingLinks(
        api.GetRecordingLinksRequest(recording_id=recording_id), metadata=who
    )
    return answer


async def delete(
    served: Recorded, recording_id: str, who: Any = ADMIN, request_id: str = "request-1", **more: Any
) -> Any:
    request = api.DeleteRecordingRequest(recording_id=recording_id, request_id=request_id, **more)
    return (await served.api.DeleteRecording(request, metadata=who)).act


async def share(
    served: Recorded,
    recording_id: str,
    who: Any = ADMIN,
    audience: Any = pb.RECORDING_AUDIENCE_ORGANIZATION,
    request_id: str = "request-s",
    **more: Any,
) -> Any:
    request = api.SetRecordingSharingRequest(
        recording_id=recording_id, request_id=request_id, sharing=pb.RecordingSharing(audience=audience), **more
    )
    return (await served.api.SetRecordingSharing(request, metadata=who)).act


async def events(database: Database) -> list[tuple[str, dict[str, Any]]]:
    c = outbox.TABLE.c
    query = sa.select(c.subject, c.payload).where(c.subject.like("%.recording.%")).order_by(c.seq)
    rows = await database.read(lambda connection: connection.execute(query).all())
    return [(subject.rpartition(".")[2], json.loads(payload)) for subject, payload in rows]


async def entries(database: Database) -> list[Any]:
    return await database.read(lambda connection: audit.read_after(connection, 0, 1000))


async def test_a_meeting_is_recorded_and_its_file_takes_its_time(
    served: Recorded, simulated: Simulated, clock: HandClock
) -> None:
    """Recording, then being made to the last millisecond of two minutes, then ready; the last who leaves ends it."""
    await simulated.create(CODE, "s", "li", clock.time, clock.time + HOUR)
    for account in ("li", "ann"):
        await simulated.enter(CODE, account)
    assert await listed(served) == []
    clock.time += 10_000
    await simulated.play(CODE, Deed.RECORD, Visitor("li"))
    await simulated.play(CODE, Deed.RECORD, Visitor("li"))
    begun, found = clock.time, await one(served)
    assert (found.state, [*found.files], found.creator_account_id) == (pb.RECORDING_STATE_RECORDING, [], "li")
    clock.time += 10 * MINUTE
    for account in ("li", "ann"):
        await simulated.leave(CODE, account)
    ended = clock.time
    clock.time = ended + TRANSCODING - 1
    assert (await get(served, found.recording_id)).recording.state == pb.RECORDING_STATE_TRANSCODING
    await refused(links(served, found.recording_id), grpc.StatusCode.FAILED_PRECONDITION, "RECORDING_NOT_READY")
    clock.time += 1
    ready = (await get(served, found.recording_id)).recording
    assert ready.state == pb.RECORDING_STATE_READY
    [file] = ready.files
    assert (file.start_time, file.end_time) == (to_timestamp(begun), to_timestamp(ended))
    assert file.size_bytes > 0
    assert ready.sharing.audience == pb.RECORDING_AUDIENCE_NOBODY


async def test_only_hosts_who_are_inside_record(simulated: Simulated, clock: HandClock) -> None:
    await simulated.create(CODE, "s", "li", clock.time, clock.time + HOUR)
    await simulated.enter(CODE, "ann")
    for who, deed in [("ann", Deed.RECORD), ("li", Deed.RECORD), ("ann", Deed.STOP_RECORDING)]:
        with pytest.raises(Exception, match=r"hosts may record|is not inside"):
            await simulated.play(CODE, deed, Visitor(who))
    await simulated.enter(CODE, "li")
    with pytest.raises(Exception, match="not being recorded"):
        await simulated.play(CODE, Deed.STOP_RECORDING, Visitor("li"))


async def test_each_stretch_is_a_file_and_one_alone_can_be_deleted(
    served: Recorded, simulated: Simulated, clock: HandClock, database: Database
) -> None:
    await simulated.create(CODE, "s", "li", clock.time, clock.time + HOUR)
    await simulated.enter(CODE, "li")
    for _ in range(2):
        await simulated.play(CODE, Deed.RECORD, Visitor("li"))
        clock.time += MINUTE
        await simulated.play(CODE, Deed.STOP_RECORDING, Visitor("li"))
    clock.time += TRANSCODING
    found = await one(served)
    first, second = (each.file_id for each in found.files)
    act = await delete(served, found.recording_id, file_id=first)
    assert (act.outcome, act.file_id) == (control.CONTROL_OUTCOME_DONE, first)
    assert [each.file_id for each in (await one(served)).files] == [second]
    await refused(delete(served, found.recording_id, file_id=first, request_id="request-2"), grpc.StatusCode.NOT_FOUND)
    assert (await delete(served, found.recording_id, file_id=second, request_id="request-3")).outcome
    assert await listed(served) == []
    assert [(kind, told["fileId"]) for kind, told in await events(database)] == [
        ("deleted", first),
        ("deleted", second),
    ]


async def test_nobody_sees_shares_or_deletes_anothers(
    served: Recorded, simulated: Simulated, clock: HandClock, database: Database, kept: Kept
) -> None:
    """As if it were not there. Who sees all that there is may not play, share or delete it without the permission."""
    await record(simulated, clock)
    found = await one(served)
    absent = found.recording_id.replace("simulated/", "simulated/9")
    for ask in (get, links, delete, share):
        for recording_id in (found.recording_id, absent):
            await refused(ask(served, recording_id, EVE), grpc.StatusCode.NOT_FOUND, "RECORDING_NOT_FOUND")
    assert await listed(served, EVE) == []
    await refused(listed(served, EVE, creator_account_id="li"), grpc.StatusCode.PERMISSION_DENIED)
    seen = await get(served, found.recording_id, SUPPORT)
    assert (seen.recording.state, seen.may_manage) == (pb.RECORDING_STATE_READY, False)
    for ask in (links, delete, share):
        await refused(ask(served, found.recording_id, SUPPORT), grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert [each.recording_id for each in await listed(served, LI)] == [found.recording_id]
    assert (await get(served, found.recording_id, LI)).may_manage
    assert (await links(served, found.recording_id, LI)).files[0].play_address
    assert await entries(database) == []
    assert not {"share", "delete"} & set(kept.calls)
    assert (await delete(served, found.recording_id, LI)).outcome == control.CONTROL_OUTCOME_DONE


async def test_an_id_of_another_meeting_leads_nowhere(served: Recorded, simulated: Simulated, clock: HandClock) -> None:
    """Whoever puts their own meeting into another's id has no recording."""
    await record(simulated, clock)
    theirs = await one(served)
    own = await record(simulated, clock, "eve", "987654321")
    parts = theirs.recording_id.split("/")
    forged = "/".join(["simulated", own, *parts[2:]])
    await refused(links(served, forged, EVE), grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize(
    "given", ["", "x", "a/b/c", "a/b/c/d", "simulated/1/1/1/1", "simulated/1//1", "simulated/1/é/1"]
)
async def test_what_is_no_id_is_said_to_be_none(served: Recorded, given: str) -> None:
    await refused(get(served, given), grpc.StatusCode.INVALID_ARGUMENT)


async def test_a_deletion_is_told_everywhere_and_done_once(
    served: Recorded, simulated: Simulated, clock: HandClock, database: Database, kept: Kept
) -> None:
    """In the answer, as an event, in the audit log and in what is left of it; again, it is answered as before."""
    await record(simulated, clock)
    found = await one(served)
    act = await delete(served, found.recording_id, reason="canary-reason")
    assert (act.verb, act.outcome, act.actor_account_id) == (
        pb.RECORDING_VERB_DELETE,
        control.CONTROL_OUTCOME_DONE,
        "boss",
    )
    assert await delete(served, found.recording_id, reason="canary-reason") == act
    await refused(delete(served, found.recording_id, reason="x"), grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    await refused(
        delete(served, found.recording_id, request_id="request-2"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "RECORDING_DELETED",
    )
    assert kept.calls.count("delete") == 1
    [(kind, told)] = await events(database)
    assert (kind, told["recordingId"], told["creatorAccountId"]) == ("deleted", found.recording_id, "li")
    [entry] = await entries(database)
    assert (entry.actor, entry.target_kind, entry.target_id) == ("boss", "recording", found.recording_id)
    assert (entry.account_id, entry.outcome) == ("li", "DONE")
    assert entry.method.endswith("RecordingService/DeleteRecording")
    assert "canary" not in str(entry)
    left = await get(served, found.recording_id)
    assert (left.recording.state, left.recording.subject) == (pb.RECORDING_STATE_DELETED, "canary-subject")
    assert left.recording.HasField("delete_time")
    assert [*left.acts] == [act]
    assert act.reason == "canary-reason"
    assert (await get(served, found.recording_id, LI)).recording.state == pb.RECORDING_STATE_DELETED
    await refused(get(served, found.recording_id, EVE), grpc.StatusCode.NOT_FOUND)
    assert await listed(served) == []


async def test_two_who_delete_at_once_are_told_that_it_is_done_and_others_once(
    served: Recorded, simulated: Simulated, clock: HandClock, database: Database, kept: Kept
) -> None:
    await record(simulated, clock)
    found = await one(served)
    kept.gate = asyncio.Barrier(3)
    both = [
        asyncio.create_task(delete(served, found.recording_id, who, f"request-{number}"))
        for number, who in enumerate((ADMIN, LI))
    ]
    await kept.gate.wait()
    await refused(delete(served, found.recording_id, ADMIN, "request-0"), grpc.StatusCode.ABORTED, "REQUEST_UNDER_WAY")
    await kept.gate.wait()
    assert {act.outcome for act in await asyncio.gather(*both)} == {control.CONTROL_OUTCOME_DONE}
    assert [kind for kind, _ in await events(database)] == ["deleted"]
    assert len(await entries(database)) == 2


async def test_a_deletion_whose_answer_was_lost_is_looked_after(
    served: Recorded, simulated: Simulated, clock: HandClock, kept: Kept, database: Database
) -> None:
    await record(simulated, clock)
    kept.after = lambda what, _: AwayError("lost")
    assert (await delete(served, (await one(served)).recording_id)).outcome == control.CONTROL_OUTCOME_DONE
    assert [kind for kind, _ in await events(database)] == ["deleted"]


REFUSALS: list[tuple[Exception, Any, str]] = [
    (AwayError("x"), control.CONTROL_OUTCOME_UNKNOWN, "PROVIDER_AWAY"),
    (RateLimitedError("x"), control.CONTROL_OUTCOME_REFUSED, "RATE_LIMITED"),
    (NotPermittedError("x"), control.CONTROL_OUTCOME_REFUSED, "NOT_PERMITTED"),
    (WrongStateError("x"), control.CONTROL_OUTCOME_REFUSED, "WRONG_STATE"),
    (ProviderError("x"), control.CONTROL_OUTCOME_REFUSED, "PROVIDER_REFUSED"),
    (ValueError("x"), control.CONTROL_OUTCOME_UNKNOWN, "PROVIDER_AWAY"),
]


@pytest.mark.parametrize(("error", "outcome", "refusal"), REFUSALS, ids=lambda each: type(each).__name__)
async def test_what_the_provider_did_not_do_is_told_so(
    error: Exception,
    outcome: Any,
    refusal: str,
    served: Recorded,
    simulated: Simulated,
    clock: HandClock,
    kept: Kept,
    database: Database,
) -> None:
    """It is in the audit log, and no event tells that it was done."""
    await record(simulated, clock)
    kept.before = lambda what, _: error if what in ("delete", "share") else None
    found = await one(served)
    for act in (await delete(served, found.recording_id), await share(served, found.recording_id)):
        assert (act.outcome, act.refusal) == (outcome, refusal)
    assert await events(database) == []
    assert {each.outcome for each in await entries(database)} == {
        control.ControlOutcome.Name(outcome).rpartition("_")[2]
    }
    assert await delete(served, found.recording_id) == (await get(served, found.recording_id)).acts[1]


async def test_what_nobody_finished_is_not_known_in_the_end(
    served: Recorded, simulated: Simulated, clock: HandClock, database: Database
) -> None:
    """Its process died between: another one gives it up, and the audit log says so."""
    await record(simulated, clock)
    found = await one(served)
    done = await delete(served, found.recording_id)
    await database.write(lambda c: c.execute(sa.update(ACT).values(outcome="", finish_time=None, give_up_time=1)))
    assert await database.read(recording_acts.are_abandoned)
    assert await database.write(lambda c: recording_acts.finish_abandoned(c, clock.now())) == 1
    assert not await database.read(recording_acts.are_abandoned)
    assert [each.outcome for each in await entries(database)] == ["DONE", "UNKNOWN"]
    again = await delete(served, found.recording_id)
    assert (again.act_id, again.outcome) == (done.act_id, control.CONTROL_OUTCOME_UNKNOWN)


async def test_it_is_shared_as_is_said(
    served: Recorded, simulated: Simulated, clock: HandClock, database: Database
) -> None:
    """The password is told with the link alone: not in the recording, the event, the audit log or the acts."""
    await record(simulated, clock)
    found = await one(served)
    assert (await links(served, found.recording_id)).share_address == ""
    until = to_timestamp(clock.time + DAY)
    wanted = pb.RecordingSharing(audience=pb.RECORDING_AUDIENCE_PARTICIPANTS, expire_time=until, may_download=True)
    request = api.SetRecordingSharingRequest(
        recording_id=found.recording_id, request_id="request-1", sharing=wanted, password="canary77", reason="why"
    )
    act = (await served.api.SetRecordingSharing(request, metadata=LI)).act
    assert (act.verb, act.outcome, act.reason) == (pb.RECORDING_VERB_SHARE, control.CONTROL_OUTCOME_DONE, "why")
    seen = (await get(served, found.recording_id)).recording.sharing
    assert seen == pb.RecordingSharing(
        audience=wanted.audience, expire_time=until, may_download=True, has_password=True
    )
    told = await links(served, found.recording_id)
    assert (told.share_address.startswith(ADDRESS), told.share_password) == (True, "canary77")
    [(kind, event)] = await events(database)
    assert (kind, event["audience"]) == ("shared", "RECORDING_AUDIENCE_PARTICIPANTS")
    rows = await database.read(lambda c: c.execute(sa.select(ACT)).all())
    for where in (rows, event, await entries(database), await get(served, found.recording_id)):
        assert "canary77" not in str(where)
    await share(served, found.recording_id, audience=pb.RECORDING_AUDIENCE_NOBODY)
    seen = (await get(served, found.recording_id)).recording.sharing
    assert seen == pb.RecordingSharing(audience=pb.RECORDING_AUDIENCE_NOBODY)
    assert (await links(served, found.recording_id)).share_address == ""


@pytest.mark.parametrize("password", ["abc", "abcdefghi", "ab cd", "ab<cd", "密码密码"])
async def test_a_password_is_four_to_eight_letters_and_digits(
    served: Recorded, simulated: Simulated, clock: HandClock, password: str
) -> None:
    await record(simulated, clock)
    found = await one(served)
    await refused(share(served, found.recording_id, password=password), grpc.StatusCode.INVALID_ARGUMENT)
    for number, fine in enumerate(("abc1", "abcdefg8")):
        assert (await share(served, found.recording_id, password=fine, request_id=f"request-{number}")).outcome


async def test_what_is_said_badly_names_its_field(served: Recorded, simulated: Simulated, clock: HandClock) -> None:
    await record(simulated, clock)
    found = await one(served)
    past = pb.RecordingSharing(audience=pb.RECORDING_AUDIENCE_ANYBODY, expire_time=to_timestamp(clock.time))
    for request in (
        api.SetRecordingSharingRequest(recording_id=found.recording_id, request_id="request-1", sharing=past),
        api.SetRecordingSharingRequest(recording_id=found.recording_id, request_id="request-1"),
        api.SetRecordingSharingRequest(
            recording_id=found.recording_id,
            request_id="request-1",
            sharing=pb.RecordingSharing(audience=77),  # type: ignore[arg-type] # a stranger's
        ),
        api.SetRecordingSharingRequest(recording_id=found.recording_id, request_id="short", sharing=past),
    ):
        await refused(served.api.SetRecordingSharing(request, metadata=ADMIN), grpc.StatusCode.INVALID_ARGUMENT)
    for more in ({"reason": "x" * 201}, {"file_id": "a/b"}, {"request_id": "short"}):
        await refused(delete(served, found.recording_id, **more), grpc.StatusCode.INVALID_ARGUMENT)


async def test_links_are_in_no_log_and_no_table(
    served: Recorded,
    simulated: Simulated,
    clock: HandClock,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At any level, and of any library: whoever has one can see the recording. Each time it is another one."""
    caplog.set_level(logging.DEBUG)
    await record(simulated, clock)
    found = await one(served)
    told = [await links(served, found.recording_id) for _ in range(2)]
    addresses = [each.files[0].play_address for each in told]
    assert len(set(addresses)) == 2
    tickets = [each.partition("ticket=")[2] for each in addresses]
    assert all(tickets)
    assert told[0].files[0].expire_time == to_timestamp(clock.time + 6 * HOUR)
    for name in sa.inspect(database.engine).get_table_names():
        stored = await database.read(lambda c, name=name: c.execute(sa.text(f'SELECT * FROM "{name}"')).all())  # type: ignore[misc] # noqa: S608 - a table of ours
        assert not [ticket for ticket in tickets if ticket in str(stored)]
    assert not [ticket for ticket in tickets if ticket in caplog.text]


async def test_a_thousand_are_paged_newest_first(served: Recorded, clock: HandClock, database: Database) -> None:
    """20 on a page, each once, with how many there are in all."""
    many(database, clock, 1000)
    first = await served.api.ListRecordings(api.ListRecordingsRequest(), metadata=ADMIN)
    assert (len(first.recordings), first.total_count) == (20, 1000)
    found = await listed(served)
    assert [each.subject for each in found] == [f"m {number}" for number in reversed(range(1000))]
    assert len({each.recording_id for each in found}) == 1000


@pytest.mark.parametrize("page", [1, 2, 5])
async def test_a_page_that_fails_is_never_taken_for_the_end(
    served: Recorded, clock: HandClock, database: Database, kept: Kept, page: int
) -> None:
    """UNAVAILABLE with how long to wait; asked again, the list goes on where it was."""
    many(database, clock, 100)
    for error in (IncompleteError("x"), RateLimitedError("x", 7), AwayError("x")):
        token, found = "", 0
        clock.time += MINUTE
        while True:
            request = api.ListRecordingsRequest(page_token=token)
            kept.before = lambda what, asked, error=error: error if asked == page else None  # type: ignore[misc] # a name bound early
            try:
                answer = await served.api.ListRecordings(request, metadata=ADMIN)
            except grpc.aio.AioRpcError:
                await refused(served.api.ListRecordings(request, metadata=ADMIN), grpc.StatusCode.UNAVAILABLE)
                kept.before = lambda what, asked: None
                answer = await served.api.ListRecordings(request, metadata=ADMIN)
            found += len(answer.recordings)
            token = answer.next_page_token
            if not token:
                break
        assert found == 100


async def test_a_long_window_is_read_stretch_by_stretch(
    served: Recorded, simulated: Simulated, clock: HandClock, kept: Kept
) -> None:
    """Of 31 days; four of them without anything are one answer, which says that there is more."""
    now = clock.time
    clock.time = now - 200 * DAY
    await record(simulated, clock, code="100000001")
    clock.time = now - 40 * DAY
    await record(simulated, clock, code="100000002")
    clock.time = now
    assert await listed(served) == []
    window = {"start_time": to_timestamp(now - 366 * DAY), "end_time": to_timestamp(now)}
    assert [each.meeting_code for each in await listed(served, **window)] == ["100000002", "100000001"]
    kept.calls.clear()
    empty = api.ListRecordingsRequest(start_time=to_timestamp(now - 366 * DAY), end_time=to_timestamp(now - 210 * DAY))
    answer = await served.api.ListRecordings(empty, metadata=ADMIN)
    assert (len(answer.recordings), bool(answer.next_page_token), len(kept.calls)) == (0, True, 4)
    assert not answer.HasField("total_count")
    too_long = {"start_time": to_timestamp(now - 366 * DAY - 1000), "end_time": to_timestamp(now)}
    await refused(listed(served, **too_long), grpc.StatusCode.INVALID_ARGUMENT)
    backwards = {"start_time": to_timestamp(now), "end_time": to_timestamp(now)}
    await refused(listed(served, **backwards), grpc.StatusCode.INVALID_ARGUMENT)


async def test_a_list_is_of_one_meeting_or_number_or_creator(
    served: Recorded, simulated: Simulated, clock: HandClock
) -> None:
    """That of a meeting looks when it was held, as the ledger knows, however long ago."""
    first = await record(simulated, clock, "li", "100000001")
    await record(simulated, clock, "ann", "100000002")
    assert [each.meeting_code for each in await listed(served, meeting_code="100-000-002")] == ["100000002"]
    assert [each.meeting_code for each in await listed(served, creator_account_id="li")] == ["100000001"]
    clock.time += 300 * DAY
    assert await listed(served) == []
    meeting = {"provider": "simulated", "meeting_id": first}
    assert [each.meeting.meeting_id for each in await listed(served, meeting=meeting)] == [first]
    assert [each.meeting.meeting_id for each in await listed(served, LI, meeting=meeting)] == [first]
    assert await listed(served, EVE, meeting=meeting) == []
    await refused(listed(served, meeting=meeting, meeting_code="100000001"), grpc.StatusCode.INVALID_ARGUMENT)
    await refused(listed(served, meeting={"provider": "a", "meeting_id": "1"}), grpc.StatusCode.NOT_FOUND)
    await refused(listed(served, page_size=21), grpc.StatusCode.INVALID_ARGUMENT)


async def test_several_who_look_at_a_page_ask_the_provider_once(
    served: Recorded, simulated: Simulated, clock: HandClock, kept: Kept
) -> None:
    """Within some seconds, and not after something was deleted through us."""
    await record(simulated, clock)
    answers = await asyncio.gather(*(listed(served) for _ in range(5)))
    assert (len({str(each) for each in answers}), kept.calls.count("list")) == (1, 1)
    await delete(served, answers[0][0].recording_id)
    assert await listed(served) == []
    assert kept.calls.count("list") == 2


@pytest.mark.parametrize("token", ["x", "bm90IG91cnM=", "WzEsICIxIDAgMSJd", "WzE3NTE4NDY0MDAwMDAsICIxIDAgMSJd"])
async def test_a_token_of_nobody_is_refused(served: Recorded, token: str) -> None:
    await refused(_asked(served, token), grpc.StatusCode.INVALID_ARGUMENT)


async def _asked(served: Recorded, token: str) -> Any:
    return await served.api.ListRecordings(api.ListRecordingsRequest(page_token=token), metadata=ADMIN)


async def test_whoever_asks_too_often_is_told_to_wait(served: Recorded) -> None:
    """Of their own only: nobody shall use up what the provider allows all."""
    for _ in range(60):
        await _asked_as(served, LI)
    await refused(_asked_as(served, LI), grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    await _asked_as(served, EVE)
    await _asked_as(served, ADMIN)


async def _asked_as(served: Recorded, who: Any) -> Any:
    return await served.api.ListRecordings(api.ListRecordingsRequest(), metadata=who)


async def test_a_provider_without_recordings_says_so(
    database: Database, clock: HandClock, simulated: Simulated
) -> None:
    async with serve(database, clock, simulated, {}) as made:
        await refused(listed(made), grpc.StatusCode.UNIMPLEMENTED, "NO_SUCH_VERB")
        await refused(get(made, "simulated/1/1/1"), grpc.StatusCode.UNIMPLEMENTED, "NO_SUCH_VERB")
        await refused(get(made, "another/1/1/1"), grpc.StatusCode.NOT_FOUND)
