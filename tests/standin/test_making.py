"""The stand-in makes, changes, cancels and lists meetings as the original does: as its own library, and as strictly."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from wemeet_openapi.core.exception import ServiceException
from wemeet_openapi.service.meetings import api, model

from services.meetings.tencent.signature import TencentAuth
from services.standin.cloud import CloudMeeting
from services.standin.server import Standin
from tests.meetings.builders import HOUR, credentials
from tests.standin.test_vendors_library import KNOWN, client, signed

NOW = int(time.time())
START, END = str(NOW + HOUR), str(NOW + 2 * HOUR)


@pytest.fixture
def standin() -> Iterator[Standin]:
    made = Standin()
    made.cloud.users |= {"li", "wang", "zhao", "other"}
    made.start()
    yield made
    made.stop()


@pytest.fixture
def vendor(standin: Standin) -> Any:
    return client(standin, KNOWN)


def body(**more: Any) -> dict[str, Any]:
    required = {
        "userid": "li",
        "instanceid": 1,
        "subject": "组会",
        "type": 0,
        "start_time": START,
        "end_time": END,
    }
    return {name: value for name, value in (required | more).items() if value is not None}


def ask(standin: Standin, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
    """The answer, or the code of its error."""
    with httpx2.Client(auth=TencentAuth(credentials()), trust_env=False) as http:
        answer = http.request(method, f"{standin.address}/v1/meetings{path}", json=content).json()
    return answer["error_info"]["error_code"] if "error_info" in answer else answer


def create(standin: Standin, **more: Any) -> Any:
    return ask(standin, "POST", "", body(**more))


def test_the_vendors_library_makes_one_with_all_that_we_send(standin: Standin, vendor: Any) -> None:
    wanted = model.V1MeetingsPostRequest(
        **body(hosts=[{"userid": "li"}, {"userid": "wang"}], invitees=[{"userid": "zhao"}, {"userid": "nobody"}]),
        password="123456",
        time_zone="Asia/Shanghai",
        meeting_type=0,
        settings=model.V1MeetingsPostRequestSettings(
            mute_enable_type_join=1,
            allow_in_before_host=False,
            auto_in_waiting_room=True,
            allow_screen_shared_watermark=True,
            only_user_join_type=3,
        ),
    )
    request = api.ApiV1MeetingsPostRequest(body=wanted)
    [info] = vendor.meetings_api.v1_meetings_post(
        request=request, authenticator_options=signed()
    ).data.meeting_info_list
    made = standin.cloud.meetings[info.meeting_id]
    assert (info.meeting_code, info.subject, info.start_time) == (made.code, "组会", START)
    assert (info.password, info.user_non_registered) == ("123456", ["nobody"])
    assert info.join_url.startswith("https://meeting.tencent.com/")
    assert (made.hosts, made.invitees, made.time_zone) == (["li", "wang"], ["zhao", "nobody"], "Asia/Shanghai")
    assert made.settings == {
        "participant_join_mute": 1,
        "allow_in_before_host": False,
        "auto_waiting_room": True,
        "allow_screen_shared_watermark": True,
        "only_enterprise_user_allowed": True,
    }


def test_the_vendors_library_pages_through_a_persons_meetings(standin: Standin, vendor: Any) -> None:
    """By both positions none comes twice, also of many at the same time; what is over or cancelled is not listed."""
    mine = [standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR) for _ in range(45)]
    standin.cloud.cancel(mine.pop())
    standin.cloud.create("li", NOW - 2 * HOUR, NOW - HOUR)
    standin.cloud.create("other", NOW + HOUR, NOW + 2 * HOUR)
    hosted = standin.cloud.create("other", NOW + HOUR, NOW + 2 * HOUR)
    hosted.hosts = ["li"]
    found: list[str] = []
    place: dict[str, str] = {}
    while True:
        request = api.ApiV1MeetingsGetRequest(instanceid="1", userid="li", **place)
        page = vendor.meetings_api.v1_meetings_get(request=request, authenticator_options=signed()).data
        found += [each.meeting_id for each in page.meeting_info_list]
        if not page.remaining:
            break
        place = {"pos": str(page.next_pos), "cursory": str(page.next_cursory)}
    assert sorted(found) == sorted(each.meeting_id for each in [*mine, hosted])


def test_the_vendors_library_changes_and_cancels_one(standin: Standin, vendor: Any) -> None:
    made = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    later = model.V1MeetingsMeetingIdPutRequest(userid="li", instanceid=1, start_time=END, end_time=str(NOW + 3 * HOUR))
    change = api.ApiV1MeetingsMeetingIdPutRequest(made.meeting_id, body=later)
    vendor.meetings_api.v1_meetings_meeting_id_put(request=change, authenticator_options=signed())
    assert (made.start, made.end, made.subject) == (NOW + 2 * HOUR, NOW + 3 * HOUR, "组会")
    why = model.V1MeetingsMeetingIdCancelPostRequest(userid="li", instanceid=1, reason_code=1)
    stop = api.ApiV1MeetingsMeetingIdCancelPostRequest(made.meeting_id, body=why)
    vendor.meetings_api.v1_meetings_meeting_id_cancel_post(request=stop, authenticator_options=signed())
    assert made.cancelled
    with pytest.raises(ServiceException) as caught:
        vendor.meetings_api.v1_meetings_meeting_id_cancel_post(request=stop, authenticator_options=signed())
    assert json.loads(caught.value.api_resp.raw_body)["error_info"]["error_code"] == 9007


WRONG: list[dict[str, Any]] = [
    *({name: None} for name in body()),
    {"start_time": NOW + HOUR},
    {"start_time": f"{START}000"},
    {"end_time": START},
    {"instanceid": "1"},
    {"type": 2},
    {"type": True},
    {"subject": " "},
    {"meeting_type": 7},
    {"password": "123"},
    {"password": "1234567"},
    {"password": "12345a"},
    {"password": 1234},
    {"hosts": ["wang"]},
    {"hosts": [{"userid": ""}]},
    {"hosts": "wang"},
    {"invitees": [{"userid": f"user-{each}"} for each in range(301)]},
    {"settings": {"waiting_room": True}},
    {"settings": {"auto_in_waiting_room": 1}},
    {"settings": {"only_user_join_type": 4}},
    {"settings": {"mute_enable_type_join": True}},
    {"settings": []},
    {"waiting_room": True},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: next(iter(each), ""))
def test_what_is_not_as_documented_is_refused(standin: Standin, wrong: dict[str, Any]) -> None:
    assert create(standin, **wrong) == 190004
    assert not standin.cloud.meetings


RIGHT: list[dict[str, Any]] = [
    {"password": "1234"},
    {"password": "123456"},
    {"password": ""},
    {"invitees": [{"userid": f"user-{each}"} for each in range(300)]},
    {"hosts": []},
]


@pytest.mark.parametrize("right", RIGHT, ids=lambda each: next(iter(each)))
def test_what_is_just_as_documented_is_taken(standin: Standin, right: dict[str, Any]) -> None:
    assert create(standin, **right)["meeting_number"] == 1


def test_people_and_words_that_it_does_not_take(standin: Standin) -> None:
    standin.rest.making.words = ["禁"]
    assert create(standin, userid="nobody") == 190001
    assert create(standin, hosts=[{"userid": "nobody"}]) == 190001
    assert create(standin, subject="禁词") == 9093
    assert not standin.cloud.meetings


def test_one_person_makes_so_many_an_hour_and_all_so_many_a_month(standin: Standin) -> None:
    standin.rest.making.an_hour = 2
    made = [create(standin) for _ in range(3)]
    assert (made[2], create(standin, userid="wang")["meeting_number"]) == (500029, 1)
    now = standin.cloud.now
    standin.cloud.now = lambda: now() + HOUR
    assert create(standin)["meeting_number"] == 1
    standin.rest.making.a_month = 4
    assert create(standin, userid="wang") == 500168
    standin.cloud.now = lambda: now() + 31 * 24 * HOUR
    assert create(standin, userid="wang", start_time=END, end_time=str(NOW + 3 * HOUR))["meeting_number"] == 1


@pytest.fixture
def meeting(standin: Standin) -> CloudMeeting:
    made = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    made.hosts, made.invitees = ["wang"], ["zhao"]
    return made


def test_who_may_change_and_cancel(standin: Standin, meeting: CloudMeeting) -> None:
    """Its creator and the administrator: neither hosts nor whoever was invited."""
    path = f"/{meeting.meeting_id}"
    for who in ("wang", "zhao", "other"):
        assert ask(standin, "PUT", path, {"userid": who, "instanceid": 1}) == 9042
        assert ask(standin, "POST", f"{path}/cancel", {"userid": who, "instanceid": 1, "reason_code": 1}) == 9042
    assert ask(standin, "PUT", path, {"userid": "nobody", "instanceid": 1}) == 190001
    assert ask(standin, "PUT", "/123", {"userid": "li", "instanceid": 1}) == 9003
    for who in ("li", "admin"):
        assert ask(standin, "PUT", path, {"userid": who, "instanceid": 1, "subject": who})["meeting_number"] == 1
        assert meeting.subject == who
    assert ask(standin, "POST", f"{path}/cancel", {"userid": "li", "instanceid": 1}) == 190004
    assert ask(standin, "PUT", path, {"userid": "li", "instanceid": 1, "waiting_room": True}) == 190004
    assert ask(standin, "POST", f"{path}/cancel", {"userid": "admin", "instanceid": 1, "reason_code": 1}) == {}


def test_what_state_it_has_to_be_in(standin: Standin, meeting: CloudMeeting) -> None:
    path = f"/{meeting.meeting_id}"

    def codes() -> tuple[Any, Any]:
        change = {"userid": "li", "instanceid": 1, "start_time": START}
        cancel = {"userid": "li", "instanceid": 1, "reason_code": 1}
        return ask(standin, "PUT", path, change), ask(standin, "POST", f"{path}/cancel", cancel)

    visit = standin.cloud.enter(meeting, "li")
    assert codes() == (14151, 13602)
    standin.cloud.leave(meeting, visit)
    meeting.start, meeting.end = NOW - 2 * HOUR, NOW - HOUR
    assert codes() == (14152, 13603)
    meeting.end = NOW + HOUR
    standin.cloud.cancel(meeting)
    assert codes() == (9007, 9007)


def test_how_it_was_made_holds_for_whoever_enters(standin: Standin) -> None:
    def made(**settings: Any) -> CloudMeeting:
        [info] = create(standin, settings=settings)["meeting_info_list"]
        return standin.cloud.meetings[info["meeting_id"]]

    def play(meeting: CloudMeeting, act: str, **body: Any) -> int:
        url = f"{standin.address}/standin/meetings/{meeting.code}/{act}"
        return httpx2.post(url, json=body, trust_env=False).status_code

    waits, alone, ours, quiet = (
        made(auto_in_waiting_room=True),
        made(allow_in_before_host=False),
        made(only_user_join_type=3),
        made(mute_enable_type_join=1),
    )
    play(waits, "enter", userid="wang")
    play(waits, "enter", userid="li")
    assert ([each.userid for each in waits.waiting], [each.userid for each in waits.inside()]) == (["wang"], ["li"])
    assert [play(alone, "enter", userid=who) for who in ("wang", "li", "wang")] == [403, 200, 200]
    assert [play(ours, "enter", **who) for who in ({"name": "guest"}, {"userid": "wang"})] == [403, 200]
    for who in ("li", "wang"):
        play(quiet, "enter", userid=who, microphone=True)
    assert [each.microphone for each in quiet.inside()] == [True, False]


def test_an_answer_is_lost_when_it_was_done(standin: Standin) -> None:
    standin.faults.append("lost")
    with pytest.raises(httpx2.HTTPError):
        create(standin)
    assert len(standin.cloud.meetings) == 1
