"""The Tencent provider against the stand-in: what it finds, and how it fares when the other side misbehaves."""

import asyncio
import time

import pytest

from services.meetings.provider import (
    AwayError,
    CancelledError,
    IncompleteError,
    Meeting,
    MeetingState,
    MisconfiguredError,
    NoSuchMeetingError,
    NotPermittedError,
    Participant,
    ProviderError,
    RateLimitedError,
    Stay,
    WrongStateError,
)
from services.meetings.steering import End
from services.meetings.tencent import answers, errors, tencent
from services.meetings.tencent.errors import Endpoint
from services.meetings.tencent.limits import TokenBucket
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import DAY, CloudMeeting
from services.standin.request_checks import Application, RequestChecker
from services.standin.server import Standin
from tests.meetings.builders import HOUR, PATIENT, HandClock, key, provider

NOW = int(time.time())


def planned(standin: Standin, creator: str = "li", **more: object) -> CloudMeeting:
    return standin.cloud.create(creator, NOW + HOUR, NOW + 2 * HOUR, **more)  # type: ignore[arg-type]


async def test_a_number_leads_to_its_meeting(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin, subject="组会 a+b")
    made.hosts = ["wang"]
    found = await tencent.find(made.code, "li")
    assert (found.meeting_id, found.subject, found.state) == (made.meeting_id, "组会 a+b", MeetingState.SCHEDULED)
    assert (found.creator, found.hosts, found.recurring) == ("li", ("wang",), False)
    [occurrence] = found.occurrences
    assert (occurrence.start_time, occurrence.end_time) == (made.start * 1000, made.end * 1000)
    assert found == await tencent.get(made.meeting_id, "li")


async def test_creator_and_named_host_own_it_and_nobody_else(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin)
    made.hosts, made.invitees = ["wang"], ["guest"]
    standin.cloud.users |= {"wang", "guest", "other"}
    owners = {
        name for name in ("li", "wang", "guest", "other") if (await tencent.find(made.code, name)).belongs_to(name)
    }
    assert owners == {"li", "wang"}
    assert not (await tencent.find(made.code, None)).belongs_to("")


async def test_absent_foreign_and_strangers_are_one_answer(standin: Standin, tencent: Tencent) -> None:
    """A number that nobody has, one of another enterprise, an account unknown over there, a number given back."""
    made, foreign = planned(standin), planned(standin, enterprise=False)
    for code, account in [("999999999", "li"), (foreign.code, "li"), (made.code, "nobody")]:
        with pytest.raises(NoSuchMeetingError):
            await tencent.find(code, account)
    standin.cloud.recycle(made)
    with pytest.raises(NoSuchMeetingError):
        await tencent.find(made.code, "li")


async def test_a_number_used_again_is_the_other_meeting_and_the_id_still_the_first(
    standin: Standin, tencent: Tencent
) -> None:
    first = planned(standin, subject="first")
    standin.cloud.recycle(first)
    second = planned(standin, subject="second", code=first.code)
    assert (await tencent.find(first.code, "li")).meeting_id == second.meeting_id
    assert (await tencent.get(first.meeting_id, "li")).subject == "first"


async def test_of_several_behind_a_number_the_next_to_come_counts() -> None:
    """The call answers with a list: nothing says that it has one element."""
    infos = [
        tencent_info("1", "MEETING_STATE_NULL", NOW - DAY),
        tencent_info("2", "MEETING_STATE_INIT", NOW + DAY),
        tencent_info("3", "MEETING_STATE_INIT", NOW + HOUR),
    ]
    assert min(infos, key=tencent._how_far_gone).meeting_id == "3"


def tencent_info(meeting_id: str, status: str, start: int) -> answers.MeetingInfo:
    return answers.MeetingInfo(meeting_id=meeting_id, status=status, start_time=start)


async def test_a_recurring_meeting_lists_its_occurrences(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin, times=4)
    made.subs[2].deleted = True
    found = await tencent.find(made.code, "li")
    assert found.recurring
    assert [each.sub_meeting_id for each in found.occurrences] == [each.sub_meeting_id for each in made.subs]
    assert [each.cancelled for each in found.occurrences] == [False, False, True, False]


async def test_a_cancelled_meeting_is_known_to_be_cancelled(standin: Standin, tencent: Tencent) -> None:
    """By its id; its number leads nowhere good."""
    made = planned(standin)
    standin.cloud.cancel(made)
    assert (await tencent.get(made.meeting_id, None)).state == MeetingState.CANCELLED
    assert (await tencent.find(made.code, "li")).state == MeetingState.CANCELLED


async def test_who_came_and_left_is_known_though_the_meeting_reads_as_if_nobody_had(
    standin: Standin, tencent: Tencent
) -> None:
    """status is INIT again once it is empty before its planned end: no proof of a no-show."""
    made = planned(standin)
    visit = standin.cloud.enter(made, "li", "李 Li", at=NOW - 600)
    standin.cloud.leave(made, visit, at=NOW - 300)
    assert (await tencent.get(made.meeting_id, None)).state == MeetingState.SCHEDULED
    assert await tencent.participants(key(made.meeting_id), None) == [
        Participant("li", "李 Li", (Stay((NOW - 600) * 1000, (NOW - 300) * 1000),))
    ]
    assert await tencent.inside(key(made.meeting_id)) == []


async def test_visits_of_one_person_are_one_participant(standin: Standin, tencent: Tencent) -> None:
    """First entered, and inside if any visit lasts. Guests have no account, and are counted one by one."""
    made = planned(standin)
    standin.cloud.leave(made, standin.cloud.enter(made, "li", at=NOW - 900), at=NOW - 800)
    standin.cloud.enter(made, "li", at=NOW - 700)
    standin.cloud.enter(made, "", "guest", at=NOW - 650)
    standin.cloud.enter(made, "", "guest", at=NOW - 640)
    found = await tencent.participants(key(made.meeting_id), None)
    assert [(each.account, each.enter_time, each.leave_time) for each in found] == [
        ("li", (NOW - 900) * 1000, None),
        ("", (NOW - 650) * 1000, None),
        ("", (NOW - 640) * 1000, None),
    ]
    assert len(await tencent.inside(key(made.meeting_id))) == 3


async def test_the_waiting_room_is_not_the_meeting(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin)
    standin.cloud.wait(made, "li")
    assert await tencent.participants(key(made.meeting_id), None) == []


async def test_all_pages_are_read(standin: Standin, tencent: Tencent) -> None:
    """100 a page of all who came."""
    made = planned(standin)
    for number in range(230):
        standin.cloud.enter(made, f"user{number}", at=NOW - 1000 + number)
    assert len(await tencent.participants(key(made.meeting_id), None)) == 230


async def test_an_occurrence_has_its_own_participants(standin: Standin, tencent: Tencent) -> None:
    """And without its id there is no answer, rather than a wrong one."""
    made = planned(standin, times=2)
    one, other = (each.sub_meeting_id for each in made.subs)
    standin.cloud.enter(made, "li", sub=one)
    assert len(await tencent.participants(key(made.meeting_id, one), NOW * 1000)) == 1
    assert await tencent.participants(key(made.meeting_id, other), NOW * 1000) == []
    with pytest.raises(ProviderError):
        await tencent.participants(key(made.meeting_id), None)


async def test_who_came_long_before_is_found_in_a_window_too(standin: Standin, tencent: Tencent) -> None:
    """The provider goes by when people joined, and takes at most 31 days."""
    made = planned(standin)
    standin.cloud.enter(made, "early", at=NOW - 20 * HOUR)
    assert len(await tencent.participants(key(made.meeting_id), NOW * 1000)) == 1
    assert await tencent.participants(key(made.meeting_id), (NOW - 200 * DAY) * 1000) == []


async def test_accounts_are_users_by_a_pattern(standin: Standin) -> None:
    made = planned(standin, creator="li@example.org")
    standin.cloud.enter(made, "li@example.org")
    standin.cloud.enter(made, "li@elsewhere.org")
    provides, client = provider(standin.address, pattern="{account}@example.org")
    assert (await provides.find(made.code, "li")).creator == "li"
    assert [each.account for each in await provides.participants(key(made.meeting_id), None)] == ["li", ""]
    await client.close()


@pytest.mark.parametrize("odd", ["../users", "1/2", "", "a b", "1?x=1", "1" * 65, "中"])
async def test_what_is_no_id_is_not_asked_for(standin: Standin, tencent: Tencent, odd: str) -> None:
    """It would be another path."""
    with pytest.raises(NoSuchMeetingError):
        await tencent.get(odd, None)
    assert standin.requests == []


MISBEHAVIOUR = ["hang", "drip", "html", "html_as_success", "refusal_as_success", "empty", "redirect"]
MISBEHAVIOUR += ["cut_off", "close", "huge"]


@pytest.mark.parametrize("fault", MISBEHAVIOUR)
async def test_a_provider_that_misbehaves_is_away_and_never_silent(
    standin: Standin, tencent: Tencent, fault: str
) -> None:
    """Neither "there is no such meeting" nor "nobody came", whatever comes instead of an answer; in bounded time."""
    made = planned(standin)
    standin.broken = fault
    async with asyncio.timeout(30):
        for question in (tencent.find(made.code, "li"), tencent.get(made.meeting_id, None)):
            with pytest.raises(AwayError):
                await question
        with pytest.raises(AwayError):
            await tencent.participants(key(made.meeting_id), None)


async def test_a_provider_that_nobody_serves_is_away() -> None:
    provides, client = provider("http://127.0.0.1:9")
    with pytest.raises(AwayError):
        await provides.find("123456789", "li")
    await client.close()


@pytest.mark.parametrize("fault", ["html", "close", "error:960000", "error:190301", "error:13000"])
async def test_what_passes_is_asked_again_with_a_new_signature(standin: Standin, tencent: Tencent, fault: str) -> None:
    made = planned(standin)
    standin.faults.extend([fault, fault])
    assert (await tencent.find(made.code, "li")).meeting_id == made.meeting_id
    assert len({request.headers["X-TC-Nonce"] for request in standin.requests}) == 3


async def test_what_changes_something_is_not_asked_again(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin)
    standin.faults.append("close")
    with pytest.raises(AwayError):
        await tencent.do(key(made.meeting_id), End(), "li")
    assert len(standin.requests) == 1


DOCUMENTED: dict[int, type[ProviderError]] = {
    **dict.fromkeys((9002, 9003, 190457, 9007), NoSuchMeetingError),
    **dict.fromkeys((9042, 500014, 9099, 9100, 9101, 9102), NotPermittedError),
    **dict.fromkeys((9061, 9008, 500029, 500046, 500168, 190310, 190311, 190313), RateLimitedError),
    **dict.fromkeys((13602, 13603, 14151, 14152), WrongStateError),
    **dict.fromkeys((190301, 41, 28, 960000, 13000, 13501, 13703, 20201), AwayError),
    **dict.fromkeys((190300, 190303, 200001, 200003), MisconfiguredError),
    **dict.fromkeys((190004, 9093, 9098), ProviderError),
    **dict.fromkeys((0, 424242, -1), AwayError),
}


@pytest.mark.parametrize("code", DOCUMENTED)
async def test_every_documented_error_is_what_it_means(standin: Standin, code: int) -> None:
    """On the wire, whatever the HTTP status. What nobody documented is away, never "nobody"."""
    made = planned(standin)
    standin.broken = f"error:{code}"
    provides, client = provider(standin.address, timing=PATIENT)
    with pytest.raises(ProviderError) as caught:
        await provides.participants(key(made.meeting_id), None)
    assert type(caught.value) is (CancelledError if code == 9007 else DOCUMENTED[code])
    await client.close()


def test_a_stranger_can_have_no_meeting_but_only_where_the_stranger_asks() -> None:
    """The same code elsewhere means that our own operator is unknown."""
    assert isinstance(errors.to_error(Endpoint.FIND, 190001, ""), NoSuchMeetingError)
    assert isinstance(errors.to_error(Endpoint.PARTICIPANTS, 190001, ""), AwayError)


async def test_wrong_credentials_are_away_and_not_absent(standin: Standin) -> None:
    """They can be mended; meanwhile nobody is told that there is no such meeting."""
    made = planned(standin)
    wrong = [
        Application(secret_key="other"),
        Application(secret_id="other"),
        Application(app_id="1"),
        Application(sdk_id=""),
    ]
    for application in wrong:
        provides, client = provider(standin.address, application)
        with pytest.raises(MisconfiguredError):
            await provides.find(made.code, "li")
        await client.close()
    assert standin.refusals == [200003, 190303, 190303, 190303]


async def test_a_clock_that_is_off_is_away(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin)
    standin.checker.now = lambda: time.time() + 301
    with pytest.raises(AwayError):
        await tencent.find(made.code, "li")
    assert standin.refusals == [190300]


async def test_our_own_restraint_keeps_us_below_the_limit(standin: Standin) -> None:
    """Asked for 60 things at once, with room for 40 a minute: the rest is told to wait, the other side never."""
    made = planned(standin)
    standin.checker.a_minute = 40
    provides, client = provider(standin.address, calls_a_minute=40)
    answers = await asyncio.gather(*(provides.find(made.code, "li") for _ in range(60)), return_exceptions=True)
    assert standin.refusals == []
    assert {type(each) for each in answers} <= {Meeting, RateLimitedError, AwayError}
    assert 1 <= sum(isinstance(each, Meeting) for each in answers) <= 40
    await client.close()


async def test_after_too_many_calls_none_is_made_for_a_while(standin: Standin, tencent: Tencent) -> None:
    """Somebody else may share the application's allowance."""
    made = planned(standin)
    standin.checker = RequestChecker(a_minute=1)
    await tencent.find(made.code, "li")
    for _ in range(3):
        with pytest.raises(RateLimitedError) as caught:
            await tencent.find(made.code, "li")
        assert 50 < caught.value.retry_seconds <= 61
    assert len(standin.requests) == 2


async def test_pages_that_never_end_are_no_answer(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin)
    standin.canned = {
        "meeting_id": made.meeting_id,
        "total_count": 1,
        "has_remaining": True,
        "next_pos": 0,
        "participants": [{"userid": "li", "join_time": "1"}],
    }
    with pytest.raises(IncompleteError):
        await tencent.participants(key(made.meeting_id), None)


CONTRADICTIONS = [
    {"meeting_id": "1", "total_count": 0, "participants": []},
    {"total_count": 3, "participants": []},
    {"total_count": 1, "participants": [{"userid": "li", "join_time": ""}]},
    {"total_count": 1, "participants": [{"userid": "li", "join_time": "soon"}]},
    {"total_count": 0, "participants": "none"},
    {"participants": []},
]


@pytest.mark.parametrize("content", CONTRADICTIONS)
async def test_an_answer_that_contradicts_itself_is_not_nobody(
    standin: Standin, tencent: Tencent, content: dict[str, object]
) -> None:
    """Of another meeting, with people counted and none listed, without times, without what it must have."""
    made = planned(standin)
    standin.canned = {"meeting_id": made.meeting_id, **content}
    with pytest.raises((IncompleteError, AwayError)):
        await tencent.participants(key(made.meeting_id), None)


async def test_unknown_fields_nulls_and_odd_names_do_no_harm(standin: Standin, tencent: Tencent) -> None:
    made = planned(standin)
    person = {"userid": None, "user_name": "not base64!", "join_time": 5, "left_time": None, "new_field": [1]}
    standin.canned = {
        "meeting_id": made.meeting_id,
        "total_count": 1,
        "participants": [person],
        "another": {},
    }
    [found] = await tencent.participants(key(made.meeting_id), None)
    assert found == Participant("", "not base64!", (Stay(5000, None),))


@pytest.mark.parametrize("odd", [{"status": "MEETING_STATE_RECYCLED"}, {"meeting_code": "530812453"}])
async def test_what_is_not_behind_the_number_now_does_not_count(
    standin: Standin, tencent: Tencent, odd: dict[str, str]
) -> None:
    """Should the list hold a meeting whose number was given back, or one with another number."""
    standin.cloud.users.add("li")
    info = {"meeting_id": "1", "meeting_code": "530812452", "status": "MEETING_STATE_INIT", **odd}
    standin.canned = {"meeting_number": 1, "meeting_info_list": [info]}
    with pytest.raises(NoSuchMeetingError):
        await tencent.find("530812452", "li")


async def test_another_meeting_than_the_one_asked_for_is_no_answer(standin: Standin, tencent: Tencent) -> None:
    standin.canned = {"meeting_number": 1, "meeting_info_list": [{"meeting_id": "2"}]}
    with pytest.raises(NoSuchMeetingError):
        await tencent.get("1", None)


def test_no_minute_holds_more_calls_than_its_limit() -> None:
    """Burst and refill together, whenever the minute begins; and after a pause nothing for so long."""
    clock = HandClock()
    bucket, calls = TokenBucket(300, 60, 20, clock.seconds()), []
    for _ in range(3000):
        clock.time += 100
        while not bucket.wait_seconds():
            bucket.take()
            calls.append(clock.time)
    most = max(sum(start <= call < start + 60_000 for call in calls) for start in calls[:600])
    assert 290 <= most <= 300
    bucket.pause(60)
    assert bucket.wait_seconds() > 60


async def test_a_refusal_counts_whatever_the_http_status_says(standin: Standin, tencent: Tencent) -> None:
    """Else a meeting would be taken for ended that was not, and an error for an answer."""
    made = planned(standin)
    standin.canned = {"error_info": {"error_code": 9042, "message": "NO PERMISSION"}}
    with pytest.raises(NotPermittedError):
        await tencent.do(key(made.meeting_id), End(), "")
    with pytest.raises(NotPermittedError):
        await tencent.find(made.code, "li")
