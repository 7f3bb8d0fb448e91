"""The vendor's own library, unmodified, with the stand-in's recordings; and where the stand-in is strict."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from wemeet_openapi.core.exception import ServiceException
from wemeet_openapi.service.records import api, model

from services.standin.recording_calls import read_config
from services.standin.recordings import CloudRecording
from services.standin.request_checks import Refusal
from services.standin.server import Standin
from tests.standin.test_vendors_library import KNOWN, client, signed

NOW = int(time.time())
HOUR = 3600
WHO = {"operator_id": "li", "operator_id_type": "1"}


@pytest.fixture
def standin() -> Iterator[Standin]:
    made = Standin()
    made.cloud.users |= {"li", "wang"}
    made.start()
    yield made
    made.stop()


@pytest.fixture
def vendor(standin: Standin) -> Any:
    return client(standin, KNOWN).records_api


@pytest.fixture
def made(standin: Standin) -> CloudRecording:
    """Two files, ready."""
    meeting = standin.cloud.create("li", NOW - 2 * HOUR, NOW - HOUR)
    for start in (NOW - 2 * HOUR, NOW - HOUR):
        found = standin.cloud.recordings.begin(meeting, at=start)
        standin.cloud.recordings.stop(meeting, at=start + 600)
    return found


def records(vendor: Any, **more: Any) -> Any:
    window = {"start_time": str(NOW - 86400), "end_time": str(NOW)}
    request = api.ApiV1RecordsGetRequest(**{**WHO, **window, **more})
    return vendor.v1_records_get(request=request, authenticator_options=signed()).data


def refused(call: Any) -> int:
    with pytest.raises(ServiceException) as caught:
        call()
    return int(json.loads(caught.value.api_resp.raw_body)["error_info"]["error_code"])


def test_it_lists_them_with_their_files(vendor: Any, made: CloudRecording) -> None:
    answer = records(vendor)
    [found] = answer.record_meetings
    assert (found.meeting_record_id, found.state, found.media_start_time) == (made.record_id, 3, made.start * 1000)
    assert [each.record_file_id for each in found.record_files] == [each.file_id for each in made.files]
    assert (answer.total_count, answer.total_page, answer.current_page, answer.current_size) == (1, 1, 1, 1)
    assert found.record_files[0].record_size > 0
    assert records(vendor, meeting_id=made.meeting.meeting_id).total_count == 1
    assert records(vendor, meeting_code=made.meeting.code).total_count == 1
    assert records(vendor, query_record_type="2").total_count == 0


def test_it_tells_addresses(vendor: Any, made: CloudRecording) -> None:
    request = api.ApiV1AddressesGetRequest(meeting_record_id=made.record_id, **WHO)
    answer = vendor.v1_addresses_get(request=request, authenticator_options=signed()).data
    assert [each.record_file_id for each in answer.record_files] == [each.file_id for each in made.files]
    assert answer.record_files[0].view_address.startswith("https://")
    assert answer.record_files[0].download_address_file_type == "mp4"


def settings(vendor: Any, made: CloudRecording) -> Any:
    request = api.ApiV1RecordsSettingsMeetingRecordIdGetRequest(made.record_id, **WHO)
    answer = vendor.v1_records_settings_meeting_record_id_get(request=request, authenticator_options=signed())
    return answer.data.sharing_config


def test_it_says_and_asks_who_may_see_it(vendor: Any, made: CloudRecording) -> None:
    assert settings(vendor, made).enable_sharing is False
    config = {"enable_sharing": True, "share_scope": 1, "enable_password": True, "password": "abcd"}
    body = model.V1RecordsSettingsMeetingRecordIdPutRequest(
        operator_id="li", operator_id_type=1, meeting_id=made.meeting.meeting_id, sharing_config=config
    )
    request = api.ApiV1RecordsSettingsMeetingRecordIdPutRequest(made.record_id, body=body)
    vendor.v1_records_settings_meeting_record_id_put(request=request, authenticator_options=signed())
    found = settings(vendor, made)
    assert (found.enable_sharing, found.share_scope, found.password) == (True, 1, "abcd")
    [row] = records(vendor).record_meetings
    assert (row.record_files[0].sharing_state, row.record_files[0].password) == (1, "abcd")


def test_it_deletes_a_file_and_all(standin: Standin, vendor: Any, made: CloudRecording) -> None:
    one = api.ApiV1RecordsRecordFileIdDeleteRequest(made.files[0].file_id, **WHO)
    vendor.v1_records_record_file_id_delete(request=one, authenticator_options=signed())
    assert len(records(vendor).record_meetings[0].record_files) == 1
    whole = api.ApiV1RecordsDeleteRequest(made.record_id, meeting_id=made.meeting.meeting_id, **WHO)
    vendor.v1_records_delete(request=whole, authenticator_options=signed())
    assert records(vendor).total_count == 0
    assert refused(lambda: vendor.v1_records_delete(request=whole, authenticator_options=signed())) == 9003


def test_it_refuses_as_documented(standin: Standin, vendor: Any, made: CloudRecording) -> None:
    """31 days and not a second more, 20 on a page, seconds, whose it is, what is being recorded."""
    month = {"start_time": str(NOW - 31 * 86400), "end_time": str(NOW)}
    assert records(vendor, **month).total_count == 1
    assert refused(lambda: records(vendor, **{**month, "end_time": str(NOW + 1)})) == 190004
    assert records(vendor, page_size="20").total_count == 1
    assert refused(lambda: records(vendor, page_size="21")) == 190004
    assert refused(lambda: records(vendor, start_time=str(NOW * 1000), end_time=str(NOW * 1000 + 1))) == 190004
    assert refused(lambda: records(vendor, operator_id_type="3")) == 190004
    assert refused(lambda: records(vendor, operator_id="nobody")) == 190001
    assert refused(lambda: records(vendor, operator_id="wang", meeting_id=made.meeting.meeting_id)) == 9042
    assert records(vendor, operator_id="wang").total_count == 0
    assert records(vendor, operator_id="admin", meeting_id=made.meeting.meeting_id).total_count == 1
    standin.cloud.recordings.begin(made.meeting)
    [row] = records(vendor).record_meetings
    assert (row.state, row.record_files) == (1, None)
    whole = api.ApiV1RecordsDeleteRequest(made.record_id, **WHO)
    assert refused(lambda: vendor.v1_records_delete(request=whole, authenticator_options=signed())) == 190004


@pytest.mark.parametrize(
    "config",
    [
        None,
        {"enable_sharing": False, "allow_download": True},
        {"enable_sharing": True},
        {"enable_sharing": True, "enable_password": False, "password": "abcd"},
        {"enable_sharing": True, "enable_password": False, "enable_sharing_expire": True},
        {"enable_sharing": True, "enable_password": False, "sharing_expire": 1},
        {"enable_sharing": True, "enable_password": False, "share_scope": 2},
        {"enable_sharing": "true"},
        {"enable_sharing": True, "enable_password": False, "another": 1},
    ],
)
def test_what_may_not_be_said_together_is_refused(config: Any) -> None:
    with pytest.raises(Refusal):
        read_config(config)


def test_a_meeting_is_recorded_by_what_people_do_there(standin: Standin) -> None:
    """As the command line and tests say it; the last one who leaves ends it."""
    meeting = standin.cloud.create("li", NOW, NOW + HOUR)
    connection = http.client.HTTPConnection(standin.address.removeprefix("http://"))
    for act in ("enter", "record", "leave"):
        connection.request("POST", f"/standin/meetings/{meeting.code}/{act}", body=json.dumps({"userid": "li"}))
        assert connection.getresponse().read()
    connection.close()
    [found] = standin.cloud.recordings.by_id.values()
    assert found.files[0].end
