"""Bad input is refused with the field named; good input comes out plain."""

import sys
import unicodedata
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.booking import requests
from services.platform.clock import DAY, MINUTE, to_timestamp
from services.platform.serving import errors
from tests.booking.builders import MONDAY, TEN, create_request


def check(**fields: Any) -> None:
    requests.check_ahead(requests.to_input(create_request(**fields)).start_time, MONDAY)


def field_refused(**fields: Any) -> str:
    with pytest.raises(errors.RpcError) as caught:
        check(**fields)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    [violation] = caught.value.details[0].field_violations  # type: ignore[attr-defined]
    assert violation.localized_message.locale == "zh-CN"
    assert any("\u4e00" <= each <= "\u9fff" for each in violation.localized_message.message)
    return str(violation.field)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("start_time", {"start_time": Timestamp()}),
        ("start_time", {"start": MONDAY - MINUTE}),
        ("start_time", {"start": MONDAY + 400 * DAY}),
        ("start_time", {"start_time": Timestamp(seconds=-1)}),
        ("start_time", {"start_time": Timestamp(seconds=2**62)}),
        ("start_time", {"start_time": Timestamp(seconds=TEN // 1000, nanos=2_000_000_000)}),
        ("start_time", {"start_time": to_timestamp(TEN + 1)}),
        ("end_time", {"end_time": Timestamp()}),
        ("end_time", {"minutes": 0}),
        ("end_time", {"minutes": -5}),
        ("end_time", {"minutes": 24 * 60 + 1}),
        ("participant_count", {"participant_count": 0}),
        ("participant_count", {"participant_count": -3}),
        ("participant_count", {"participant_count": 10_001}),
        ("subject", {"subject": ""}),
        ("subject", {"subject": "   "}),
        ("subject", {"subject": "x" * 201}),
        ("subject", {"subject": "x" * 10_000}),
        ("subject", {"subject": "two\nlines"}),
        ("subject", {"subject": "a\x00b"}),
        ("meeting_code", {"meeting_code": ""}),
        ("meeting_code", {"meeting_code": "12345678"}),
        ("meeting_code", {"meeting_code": "12345678901"}),
        ("meeting_code", {"meeting_code": "123-456-789 or 987-654-321"}),
        ("meeting_code", {"meeting_code": "no number"}),
        ("meeting_code", {"meeting_code": "1" * 100_000}),
        ("meeting_code", {"meeting_code": "١٢٣٤٥٦٧٨٩"}),
        ("room_id", {"room_id": "no spaces"}),
        ("room_id", {"room_id": "x" * 65}),
        ("request_id", {"request_id": "'; DROP TABLE room"}),
        ("account_id", {"account_id": "x" * 129}),
    ],
)
def test_refused(field: str, fields: dict[str, Any]) -> None:
    assert field_refused(**fields) == field


@pytest.mark.parametrize(
    "fields",
    [
        {"start": MONDAY},
        {"minutes": 24 * 60},
        {"participant_count": 1},
        {"participant_count": 10_000},
        {"subject": "会" * 200},
        {"request_id": "A-b_c.1" * 9},
    ],
)
def test_the_last_allowed_value_is_allowed(fields: dict[str, Any]) -> None:
    check(**fields)


def test_a_mere_check_needs_no_meeting() -> None:
    wish = requests.to_input(create_request(meeting_code="", subject=""), complete=False)
    assert (wish.meeting_code, wish.subject) == ("", "")


def test_the_hash_tells_bodies_apart() -> None:
    one, same, other = (requests.to_input(create_request(participant_count=count)).body_hash for count in (12, 12, 13))
    assert one == same != other


def test_a_line_holds_no_control_character_and_every_other_one() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        controls = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        assert requests.has_controls(f"a {character} b") == controls, ascii(character)
