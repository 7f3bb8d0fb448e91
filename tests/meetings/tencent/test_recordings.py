"""Recordings from the stand-in: whole, in our units, seen by whom they belong to, and done once."""

import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.meetings.provider import (
    AwayError,
    IncompleteError,
    MisconfiguredError,
    NoSuchMeetingError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
)
from services.meetings.recordings import (
    Audience,
    NoSuchRecordingError,
    Recording,
    RecordingKey,
    RecordingQuery,
    RecordingState,
    Sharing,
)
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.client import TencentClient
from services.meetings.tencent.recordings import LINKS_LAST, TencentRecordings, web
from services.meetings.tencent.signature import TencentAuth
from services.platform.clock import DAY, SystemClock
from services.standin.cloud import CloudMeeting
from services.standin.recordings import TRANSCODING_SECONDS, CloudRecording
from services.standin.request_checks import RequestChecker
from services.standin.server import Standin
from tests.meetings.builders import HOUR, PATIENT, QUICK, credentials

NOW = int(time.time())
FAULTS = ["html", "html_as_success", "cut_off", "refusal_as_success", "empty", "close", "error:190310"]
MONTH = RecordingQuery((NOW - 86400) * 1000, (NOW + HOUR) * 1000)


@pytest.fixture
async def asked(standin: Standin) -> AsyncIterator[TencentRecordings]:
    client = TencentClient(standin.address, TencentAuth(credentials()), PATIENT, 30_000)
    standin.checker = RequestChecker(of_recordings_a_minute=1000)
    yield TencentRecordings(client, Accounts(), "tencent", "admin", SystemClock())
    await client.close()


def held(standin: Standin, creator: str = "li", begun: int = NOW - 2 * HOUR) -> CloudMeeting:
    return standin.cloud.create(creator, begun, begun + HOUR)


def recorded(standin: Standin, creator: str = "li", begun: int = NOW - 2 * HOUR) -> CloudRecording:
    """For half an hour, and ready since."""
    meeting = held(standin, creator, begun)
    made = standin.cloud.recordings.begin(meeting, at=begun)
    standin.cloud.recordings.stop(meeting, at=begun + HOUR // 2)
    return made


def key(made: CloudRecording) -> RecordingKey:
    return RecordingKey("tencent", made.meeting.meeting_id, made.record_id, made.start * 1000)


async def listed(asked: TencentRecordings, query: RecordingQuery = MONTH) -> list[Recording]:
    found, page = list[Recording](), 1
    while page:
        answer = await asked.recordings(query, page)
        found += answer.recordings
        page = answer.next_page
    return found


async def test_the_list_of_all_has_makers_and_no_files(standin: Standin, asked: TencentRecordings) -> None:
    made = recorded(standin)
    [found] = await listed(asked)
    assert found == Recording(key(made), RecordingState.READY, made.meeting.code, "组会", "li", None)
    assert "/v1/corp/records?" in standin.requests[-1].target


async def test_that_of_one_person_or_meeting_or_number_has_files(standin: Standin, asked: TencentRecordings) -> None:
    """In milliseconds and bytes; a person's is asked for in their name, and of another's meeting nothing is told."""
    made, other = recorded(standin), recorded(standin, "wang", NOW - 3 * HOUR)
    [found] = await listed(asked, replace(MONTH, creator="li"))
    assert found.creator == "li"
    [file] = found.files or ()
    assert (file.start_time, file.end_time) == (made.start * 1000, (made.start + HOUR // 2) * 1000)
    assert file.size > 0
    [by_meeting] = await listed(asked, replace(MONTH, meeting_id=other.meeting.meeting_id))
    assert (by_meeting.key, by_meeting.creator) == (key(other), "")
    [by_number] = await listed(asked, replace(MONTH, meeting_code=other.meeting.code))
    assert by_number.key == key(other)
    with pytest.raises(NotPermittedError):
        await listed(asked, replace(MONTH, creator="li", meeting_id=other.meeting.meeting_id))
    with pytest.raises(NoSuchMeetingError):
        await listed(asked, replace(MONTH, creator="nobody"))
    assert "operator_id=nobody" in standin.requests[-1].target


async def test_a_state_is_told_as_it_is(standin: Standin, asked: TencentRecordings) -> None:
    meeting = held(standin, begun=NOW - 600)
    made = standin.cloud.recordings.begin(meeting, at=NOW - 600)
    assert [each.state for each in await listed(asked)] == [RecordingState.RECORDING]
    standin.cloud.now = lambda: float(NOW)
    standin.cloud.recordings.stop(meeting, at=NOW)
    for later, state in (
        (TRANSCODING_SECONDS - 1, RecordingState.TRANSCODING),
        (TRANSCODING_SECONDS, RecordingState.READY),
    ):
        standin.cloud.now = lambda later=later: float(NOW + later)  # type: ignore[misc] # a moment bound early
        assert (await asked.recording(key(made), "li")).state is state
    made.meeting.cancelled = True
    assert (await asked.recording(key(made), "")).state is RecordingState.READY


async def test_a_window_of_31_days_is_taken_and_a_longer_one_is_not(standin: Standin, asked: TencentRecordings) -> None:
    """Its end is not in it: what began then is in the next."""
    until = NOW * 1000
    recorded(standin, begun=NOW - 31 * 86400)
    recorded(standin, begun=NOW)
    whole = RecordingQuery(until - 31 * DAY, until)
    assert len(await listed(asked, whole)) == 1
    with pytest.raises(ProviderError):
        await listed(asked, RecordingQuery(until - 31 * DAY - 2000, until))


async def test_a_thousand_come_in_pages_of_twenty(standin: Standin, asked: TencentRecordings) -> None:
    for number in range(1000):
        recorded(standin, begun=NOW - 3 * HOUR - number)
    assert len({each.key for each in await listed(asked)}) == 1000
    assert len(standin.requests) == 50


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_page_that_fails_is_an_error_and_no_end(
    standin: Standin, asked: TencentRecordings, fault: str, page: int
) -> None:
    for number in range(45):
        recorded(standin, begun=NOW - 3 * HOUR - number)
    for number in range(1, page):
        assert (await asked.recordings(MONTH, number)).next_page == number + 1
    standin.broken = fault
    with pytest.raises((AwayError, IncompleteError)):
        await asked.recordings(MONTH, page)


ROW = {"meeting_record_id": "1", "meeting_id": "2"}
LIES: list[dict[str, Any]] = [
    {"total_count": 21, "total_page": 2, "current_page": 1, "record_meetings": []},
    {"total_count": 0, "total_page": 0, "record_meetings": [ROW]},
    {"total_count": 1, "total_page": 2, "record_meetings": [ROW]},
    {
        "total_count": 1,
        "total_page": 1,
        "current_page": 2,
        "record_meetings": [ROW],
    },
    {"total_count": 1, "total_page": 1, "record_meetings": [{"meeting_record_id": "a/b", "meeting_id": "2"}]},
    {"record_meetings": []},
]


@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_contradicts_itself_is_not_taken(
    standin: Standin, asked: TencentRecordings, lie: dict[str, Any]
) -> None:
    standin.canned = lie
    with pytest.raises((AwayError, IncompleteError)):
        await asked.recordings(MONTH, 1)


async def test_links_last_as_documented_and_lead_to_the_web_alone(
    standin: Standin, asked: TencentRecordings, caplog: pytest.LogCaptureFixture
) -> None:
    """In no log, at any level; nor does what holds them show them."""
    caplog.set_level(logging.DEBUG)
    made = recorded(standin)
    before = SystemClock().now()
    links = await asked.recording_links(key(made), "li")
    [file] = links.files
    assert file.play.startswith("https://")
    assert (file.expire_time or 0) >= before + LINKS_LAST
    assert (links.share, links.password) == ("", "")
    assert file.play not in caplog.text + repr(links)
    assert file.download not in caplog.text + repr(links)
    assert file.play != (await asked.recording_links(key(made), "")).files[0].play


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://a\nb", ""])
def test_what_is_no_address_of_the_web_is_none(address: str) -> None:
    assert web(address) == ""


@pytest.mark.parametrize("audience", [Audience.PARTICIPANTS, Audience.ORGANIZATION, Audience.ANYBODY])
async def test_who_may_see_it_is_said_and_told(standin: Standin, asked: TencentRecordings, audience: Audience) -> None:
    made, until = recorded(standin), (NOW + HOUR) * 1000
    assert await asked.sharing(key(made), "li") == Sharing(Audience.NOBODY)
    await asked.share_recording(key(made), Sharing(audience, expire_time=until, may_download=True), "abcd1", "li")
    assert await asked.sharing(key(made), "") == Sharing(audience, True, until, True)
    links = await asked.recording_links(key(made), "li")
    assert (links.share.startswith("https://"), links.password) == (True, "abcd1")
    await asked.share_recording(key(made), Sharing(audience), "", "li")
    assert await asked.sharing(key(made), "") == Sharing(audience)
    await asked.share_recording(key(made), Sharing(Audience.NOBODY), "", "li")
    assert await asked.sharing(key(made), "") == Sharing(Audience.NOBODY)


async def test_whichever_page_is_right_about_who_acts_it_works(standin: Standin, asked: TencentRecordings) -> None:
    """The description wants `userid` for people, the model has none."""
    standin.rest.recordings.share_kinds = {"3"}
    made = recorded(standin)
    await asked.share_recording(key(made), Sharing(Audience.ORGANIZATION), "", "li")
    assert (await asked.sharing(key(made), "")).audience is Audience.ORGANIZATION
    sent = [json.loads(each.body) for each in standin.requests if each.method == "PUT"]
    assert [("userid" in each, each.get("operator_id")) for each in sent] == [(False, "li"), (True, None)]


async def test_it_is_deleted_whole_or_a_file_and_then_is_not_there(standin: Standin, asked: TencentRecordings) -> None:
    made = recorded(standin)
    standin.cloud.recordings.begin(made.meeting, at=NOW - HOUR)
    standin.cloud.recordings.stop(made.meeting, at=NOW - HOUR + 60)
    first, second = (each.file_id for each in made.files)
    await asked.delete_recording(key(made), first, "li")
    assert [each.file_id for each in (await asked.recording(key(made), "")).files or ()] == [second]
    await asked.delete_recording(key(made), "", "")
    for question in (
        asked.recording(key(made), "li"),
        asked.recording_links(key(made), "li"),
        asked.sharing(key(made), "li"),
        asked.delete_recording(key(made), "", "li"),
        asked.share_recording(key(made), Sharing(Audience.NOBODY), "", "li"),
    ):
        with pytest.raises(NoSuchRecordingError):
            await question


async def test_one_of_another_meeting_is_not_found(standin: Standin, asked: TencentRecordings) -> None:
    made, own = recorded(standin), recorded(standin, "eve")
    forged = RecordingKey("tencent", own.meeting.meeting_id, made.record_id, made.start * 1000)
    with pytest.raises(NoSuchRecordingError):
        await asked.recording(forged, "eve")
    with pytest.raises(NotPermittedError):
        await asked.recording(key(made), "eve")


async def test_the_administrator_acts_where_the_creator_may_not(standin: Standin, asked: TencentRecordings) -> None:
    """As somebody who has left the enterprise; nothing is sent twice after an answer that did not come."""
    made = recorded(standin)
    standin.cloud.users.discard("li")
    await asked.delete_recording(key(made), "", "li")
    again = recorded(standin)
    standin.requests.clear()
    standin.faults.append("close")
    with pytest.raises(AwayError):
        await asked.delete_recording(key(again), "", "li")
    assert [each.method for each in standin.requests] == ["DELETE"]


async def test_our_own_restraint_keeps_below_ten_a_minute(standin: Standin) -> None:
    """So that the list of all never costs the others their calls."""
    client = TencentClient(standin.address, TencentAuth(credentials()), QUICK, 300)
    asked = TencentRecordings(client, Accounts(), "tencent", "admin", SystemClock())
    for _ in range(5):
        await asked.recordings(MONTH, 1)
    with pytest.raises(RateLimitedError):
        await asked.recordings(MONTH, 1)
    assert standin.refusals == []
    await client.close()


async def test_an_operator_who_is_unknown_there_is_no_empty_list(standin: Standin) -> None:
    client = TencentClient(standin.address, TencentAuth(credentials()), PATIENT, 30_000)
    asked = TencentRecordings(client, Accounts(), "tencent", "nobody", SystemClock())
    with pytest.raises(MisconfiguredError):
        await asked.recordings(RecordingQuery(MONTH.since, MONTH.until, meeting_code="530812452"), 1)
    with pytest.raises(AwayError):
        await asked.recordings(MONTH, 1)
    await client.close()
