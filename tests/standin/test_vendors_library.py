"""The stand-in is faithful: the vendor's own library works against it, unmodified, and it is as strict as is said."""

import base64
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import wemeet_openapi
from wemeet_openapi.core import constants, xhttp
from wemeet_openapi.core.authenticator import JWTAuthenticator
from wemeet_openapi.core.config import Config
from wemeet_openapi.core.exception import ServiceException
from wemeet_openapi.service.meeting_control import api as control_api
from wemeet_openapi.service.meeting_control import model as control_model
from wemeet_openapi.service.meetings import api, model

from services.standin.request_checks import Application, RequestChecker
from services.standin.server import Standin

NOW = int(time.time())
HOUR = 3600
KNOWN = Application()


@pytest.fixture
def standin() -> Iterator[Standin]:
    made = Standin()
    made.cloud.users |= {"li", "wang"}
    made.start()
    yield made
    made.stop()


@pytest.fixture
def vendor(standin: Standin) -> Any:
    return client(standin, KNOWN)


def client(standin: Standin, application: Application) -> Any:
    host = standin.address.removeprefix("http://")
    serializer = constants.DEFAULT_SERIALIZER
    transport = xhttp.Client(host=host, protocol="http", session=requests.Session(), serializer=serializer)
    return wemeet_openapi.Client(
        app_id=application.app_id,
        sdk_id=application.sdk_id,
        secret_id=application.secret_id,
        secret_key=application.secret_key,
        clt=transport,
    )


def signed(**more: Any) -> list[Any]:
    """A fresh one each time: the library's own remembers its first signature."""
    return [JWTAuthenticator(**more).options_build()]


def create(vendor: Any, subject: str = "组会 a+b/c") -> Any:
    body = model.V1MeetingsPostRequest(
        instanceid=1,
        start_time=str(NOW + HOUR),
        end_time=str(NOW + 2 * HOUR),
        subject=subject,
        type=0,
        userid="li",
        hosts=[{"userid": "wang"}],
    )
    request = api.ApiV1MeetingsPostRequest(body=body)
    answer = vendor.meetings_api.v1_meetings_post(request=request, authenticator_options=signed())
    return answer.data.meeting_info_list[0]


def find(vendor: Any, code: str, userid: str = "li", **more: Any) -> Any:
    request = api.ApiV1MeetingsGetRequest(instanceid="1", userid=userid, meeting_code=code)
    return vendor.meetings_api.v1_meetings_get(request=request, authenticator_options=signed(**more)).data


def test_it_makes_finds_moves_and_cancels_a_meeting(standin: Standin, vendor: Any) -> None:
    """By number and by id, with a body in Chinese; times are strings of seconds."""
    made = create(vendor)
    [found] = find(vendor, made.meeting_code).meeting_info_list
    assert (found.meeting_id, found.subject, found.start_time) == (made.meeting_id, "组会 a+b/c", str(NOW + HOUR))
    assert (found.join_meeting_role, found.status, found.hosts[0].userid) == ("creator", "MEETING_STATE_INIT", "wang")

    later = model.V1MeetingsMeetingIdPutRequest(
        userid="li", instanceid=1, start_time=str(NOW + 2 * HOUR), end_time=str(NOW + 3 * HOUR)
    )
    change = api.ApiV1MeetingsMeetingIdPutRequest(made.meeting_id, body=later)
    vendor.meetings_api.v1_meetings_meeting_id_put(request=change, authenticator_options=signed())
    look = api.ApiV1MeetingsMeetingIdGetRequest(made.meeting_id, "li", "1", "1")
    again = vendor.meetings_api.v1_meetings_meeting_id_get(request=look, authenticator_options=signed())
    assert again.data.meeting_info_list[0].start_time == str(NOW + 2 * HOUR)

    why = model.V1MeetingsMeetingIdCancelPostRequest(userid="li", instanceid=1, reason_code=1)
    stop = api.ApiV1MeetingsMeetingIdCancelPostRequest(made.meeting_id, body=why)
    vendor.meetings_api.v1_meetings_meeting_id_cancel_post(request=stop, authenticator_options=signed())
    with pytest.raises(ServiceException) as caught:
        vendor.meetings_api.v1_meetings_meeting_id_get(request=look, authenticator_options=signed())
    assert b"9007" in caught.value.api_resp.raw_body


def test_it_pages_through_those_who_came(standin: Standin, vendor: Any) -> None:
    """Names in base64; then the meeting is ended over its head."""
    made = standin.cloud.meetings[create(vendor).meeting_id]
    for number in range(150):
        standin.cloud.enter(made, f"user{number}", f"用户{number}")
    names, position = [], "0"
    while True:
        request = api.ApiV1MeetingsMeetingIdParticipantsGetRequest(
            made.meeting_id, userid="li", pos=position, size="100"
        )
        answer = vendor.meetings_api.v1_meetings_meeting_id_participants_get(
            request=request, authenticator_options=signed()
        ).data
        names += [base64.b64decode(each.user_name).decode() for each in answer.participants]
        if not answer.has_remaining:
            break
        position = str(answer.next_pos)
    assert names == [f"用户{number}" for number in range(150)]

    live = api.ApiV1MeetingsMeetingIdRealTimeParticipantsGetRequest(made.meeting_id, "admin", "1", "1", "50")
    present = vendor.meetings_api.v1_meetings_meeting_id_real_time_participants_get(
        request=live, authenticator_options=signed()
    ).data
    assert (present.total_count, present.total_page, len(present.participants)) == (150, 3, 50)
    assert base64.b64decode(present.subject).decode() == made.subject

    body = control_model.V1MeetingsMeetingIdDismissPostRequest(1, "li", 1, 1, retrieve_code=1)
    dismiss = control_api.ApiV1MeetingsMeetingIdDismissPostRequest(made.meeting_id, body=body)
    vendor.meeting_control_api.v1_meetings_meeting_id_dismiss_post(request=dismiss, authenticator_options=signed())
    assert made.inside() == []
    assert standin.cloud.status(made) == "MEETING_STATE_RECYCLED"


def refused(vendor: Any, code: str = "123456789", **more: Any) -> int:
    with pytest.raises(ServiceException) as caught:
        find(vendor, code, **more)
    return int(json.loads(caught.value.api_resp.raw_body)["error_info"]["error_code"])


def test_it_is_refused_as_documented(standin: Standin, vendor: Any) -> None:
    """Clock, replay, key, ids, signature, stranger, absent, malformed."""
    now = str(int(time.time()))
    assert refused(vendor, timestamp=str(int(time.time()) - 301)) == 190300
    assert refused(vendor, nonce=7, timestamp=now) == 9003
    assert refused(vendor, nonce=7, timestamp=now) == 190301
    assert refused(vendor, signature="x" * 88) == 200003
    assert refused(vendor, registered="0") == 190004
    assert refused(vendor, userid="nobody") == 190001
    assert refused(vendor, code="12345678") == 190004
    wrong = [Application(secret_id="x"), Application(app_id="x"), Application(sdk_id="x")]
    assert [refused(client(standin, each)) for each in wrong] == [190303] * 3
    assert refused(client(standin, Application(secret_key="x"))) == 200003


def test_it_is_refused_for_too_many_calls(standin: Standin, vendor: Any) -> None:
    """A minute, and a day."""
    standin.checker = RequestChecker(a_minute=2)
    assert [refused(vendor) for _ in range(3)] == [9003, 9003, 190310]
    standin.checker = RequestChecker(a_day=2)
    assert [refused(vendor) for _ in range(3)] == [9003, 9003, 190311]


def test_a_number_is_recycled_and_used_again(standin: Standin, vendor: Any) -> None:
    """30 days after the planned start; then only the id leads to the old one."""
    start = NOW - 31 * 86400
    old = standin.cloud.create("li", start, start + HOUR, code="530000001")
    assert refused(vendor, code="530000001") == 9003
    new = standin.cloud.create("li", NOW, NOW + HOUR, code="530000001")
    assert find(vendor, "530000001").meeting_info_list[0].meeting_id == new.meeting_id
    look = api.ApiV1MeetingsMeetingIdGetRequest(old.meeting_id, "li", "1", "1")
    answer = vendor.meetings_api.v1_meetings_meeting_id_get(request=look, authenticator_options=signed())
    assert answer.data.meeting_info_list[0].status == "MEETING_STATE_RECYCLED"


def test_others_may_not_ask_who_came(standin: Standin, vendor: Any) -> None:
    made = create(vendor)
    standin.cloud.users.add("other")
    request = api.ApiV1MeetingsMeetingIdParticipantsGetRequest(made.meeting_id, userid="other")
    with pytest.raises(ServiceException) as caught:
        vendor.meetings_api.v1_meetings_meeting_id_participants_get(request=request, authenticator_options=signed())
    assert (caught.value.api_resp.status_code, b"9042" in caught.value.api_resp.raw_body) == (403, True)


def test_the_list_of_a_user_comes_in_pages_of_20(standin: Standin, vendor: Any) -> None:
    for number in range(25):
        standin.cloud.create("li", NOW + (number + 1) * HOUR, NOW + (number + 2) * HOUR)
    request = api.ApiV1MeetingsGetRequest(instanceid="1", userid="li")
    first = vendor.meetings_api.v1_meetings_get(request=request, authenticator_options=signed()).data
    request = api.ApiV1MeetingsGetRequest(instanceid="1", userid="li", pos=str(first.next_pos))
    second = vendor.meetings_api.v1_meetings_get(request=request, authenticator_options=signed()).data
    assert (len(first.meeting_info_list), first.remaining, len(second.meeting_info_list)) == (20, 5, 5)
    assert second.remaining == 0


def test_the_case_of_header_names_counts(standin: Standin) -> None:
    """As documented: a proxy or HTTP/2 that writes them in lower case breaks every call."""
    host = standin.address.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    connection.request("GET", "/v1/meetings", headers={"x-tc-key": KNOWN.secret_id})
    assert json.load(connection.getresponse())["error_info"]["error_code"] == 200001
    connection.close()


@pytest.mark.parametrize("change", [("+", "%20"), ("%2B", "+"), ("", "&a=1")])
def test_the_signature_is_over_the_bytes_on_the_wire(standin: Standin, change: tuple[str, str]) -> None:
    """The same query written otherwise is another request."""
    prepared = requests.Request("GET", f"{standin.address}/v1/meetings?userid=a+b%2Bc").prepare()
    config = Config(app_id=KNOWN.app_id, sdk_id=KNOWN.sdk_id, secret_id=KNOWN.secret_id, secret_key=KNOWN.secret_key)
    JWTAuthenticator().options_build()(config).auth_header(prepared)
    before, after = change
    prepared.url = str(prepared.url).replace(before, after, 1) if before else f"{prepared.url}{after}"
    assert requests.Session().send(prepared).json()["error_info"]["error_code"] == 200003
