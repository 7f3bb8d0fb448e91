"""Events are written and read as the library does it, whatever is in them and whatever has happened to the text."""

import copy
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BytesValue, DoubleValue
from hypothesis import example, given
from hypothesis import strategies as st
from yunhui.booking.v1.events_pb2 import AccountEvent, ReservationEvent
from yunhui.booking.v1.reservation_pb2 import Reservation, Standing
from yunhui.meetings.v1.events_pb2 import MeetingEvent
from yunhui.notifier.v1.events_pb2 import DeliveryEvent
from yunhui.policy.v1.events_pb2 import PolicyVersionEvent

from services.platform.messaging.proto_json import from_json, to_json

CONTRACTS = Path(__file__).parents[2] / "proto"
OWNERS = sorted(path.parent.parent.name for path in CONTRACTS.glob("yunhui/*/v1/events.proto"))
DESCRIPTORS: list[Descriptor] = [
    descriptor
    for owner in OWNERS
    for descriptor in importlib.import_module(f"yunhui.{owner}.v1.events_pb2").DESCRIPTOR.message_types_by_name.values()
]
EVENTS: list[type[Message]] = [GetMessageClass(descriptor) for descriptor in DESCRIPTORS]
FIRST, LAST = -62_135_596_800, 253_402_300_799  # seconds of the years 1 to 9999, all that JSON can say
NANOS = (0, 1, 999, 1000, 1_000_000, 120_000_000, 999_000_000, 999_999_999)
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
Strategy = st.SearchStrategy[Any]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ("", "\0", '"\\/\b\f\n\r\t', "\x1f\x7f\x80", "\u2028\u2029", "会议室", "\U0001f600", "</script>", "😀é")
)
TIMES = st.builds(
    Timestamp,
    seconds=st.sampled_from((FIRST, -1, 0, 1, 1_751_846_400, LAST)) | st.integers(FIRST, LAST),
    nanos=st.sampled_from(NANOS) | st.integers(0, 999_999_999),
)
_known: dict[str, Strategy] = {Timestamp.DESCRIPTOR.full_name: TIMES}


def messages(descriptor: Any) -> Strategy:
    """Any message of a kind, each field set or not."""
    if descriptor.full_name not in _known:
        fields = {field.name: st.none() | field_values(field) for field in descriptor.fields}
        kind = GetMessageClass(descriptor)
        _known[descriptor.full_name] = st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))
    return _known[descriptor.full_name]


def field_values(field: FieldDescriptor) -> Strategy:
    if field.message_type and field.message_type.GetOptions().map_entry:
        parts = field.message_type.fields_by_name
        return st.dictionaries(values(parts["key"]), values(parts["value"]), max_size=4)
    return st.lists(values(field), max_size=3) if field.is_repeated else values(field)


def values(field: FieldDescriptor) -> Strategy:
    if field.message_type:
        return messages(field.message_type)
    if field.enum_type:
        return st.sampled_from([*field.enum_type.values_by_number, 77, -1, 2**31 - 1])
    if field.type == FieldDescriptor.TYPE_STRING:
        return TEXTS
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    low, high = RANGES[field.cpp_type]
    return st.sampled_from((low, -1 if low else 1, 0, 1, high)) | st.integers(low, high)


any_event = st.one_of([messages(kind.DESCRIPTOR) for kind in EVENTS])


def by_library(message: Message) -> str:
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False)


def read_by_library(text: str | bytes, kind: type[Message]) -> Message:
    return json_format.Parse(text, kind(), ignore_unknown_fields=True)


def outcome(read: Callable[[str | bytes, type[Message]], Message], text: str | bytes, kind: type[Message]) -> object:
    """The message, with its presence of fields, or the type of the refusal."""
    try:
        message = read(text, kind)
    except Exception as error:
        return type(error)
    return message.SerializeToString(deterministic=True)


def test_all_services_that_publish_are_looked_at() -> None:
    assert {ReservationEvent, AccountEvent, DeliveryEvent, MeetingEvent, PolicyVersionEvent} <= set(EVENTS)


@given(any_event)
def test_an_event_is_written_as_by_the_library(event: Message) -> None:
    assert to_json(event) == by_library(event)


@given(messages(Standing.DESCRIPTOR))
def test_so_is_a_message_with_maps_lists_and_lists_of_times(message: Message) -> None:
    assert to_json(message) == by_library(message)


@given(any_event)
def test_what_was_written_is_read_back_and_what_the_library_writes_too(event: Message) -> None:
    read = from_json(to_json(event), type(event))
    assert read == read_by_library(to_json(event), type(event)) == event
    assert from_json(json_format.MessageToJson(event).encode(), type(event)) == event


def test_a_field_is_there_or_not_whatever_it_holds() -> None:
    empty = ReservationEvent(reservation=Reservation(), actor="")
    assert to_json(empty) == '{"reservation": {}}'
    assert from_json('{"reservation": {}, "actor": ""}', ReservationEvent).HasField("reservation")
    assert not from_json("{}", ReservationEvent).HasField("reservation")
    assert from_json('{"reservation": {"room": {}}}', ReservationEvent).reservation.HasField("room")


ODD: Strategy = st.sampled_from(
    (
        None, True, False, 0, 1, -1, 1.0, 1.5, 2**31, 2**63, -(2**63), 2**70, 1e300, float("nan"), float("inf"),
        "", " ", "0", "-0", "007", "+1", "1_0", " 1", "1.0", "1e2", "1.5", "٣", "9" * 19, "9" * 25, f"{-(2**63)}",
        "true", "\0", "\ud800", "x\udfff", "EFFECT_DENY", "effect_deny", "NO_SUCH_NAME", "2",
        [], {}, [None], [[]], [{}], {"": ""}, {"seconds": 1}, ["a", "a"], ["a", 1],
        "2025-07-14T06:00:00Z", "2025-07-14T06:00:00.5Z", "2025-07-14t06:00:00Z", "2025-07-14T06:00:00+08:00",
        "2025-07-14T06:00:00-08:00", "2025-07-14T06:00:00.0000000001Z", "0000-01-01T00:00:00Z", "z",
        "9999-12-31T23:59:59.999999999Z", "2025-07-14 06:00:00Z", "2025-07-14T06:00:00", "2025-02-30T06:00:00Z",
    )
).map(copy.deepcopy)  # fmt: skip
NAMES = st.sampled_from(
    ("reservation_id", "reservationId", "start_time", "startTime", "policy_version", "unknown", "", "[a.b]", "\ud800",
     "Reservation", "version", "state", "facts", "rules", "room", "decision", "delivery", "policy", "meeting")
)  # fmt: skip


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every container with a key of it."""
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    return [place for key in keys for place in [(content, key), *places(content[key])]]


@st.composite
def changed_events(draw: st.DrawFn) -> tuple[str, type[Message]]:
    """An event of which something was replaced, renamed, added or removed."""
    event = draw(any_event)
    content = json.loads(json.dumps(json.loads(to_json(event)), sort_keys=True))  # a map has no order of its own
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from([*places(content), (content, "unknown")]))
        act = draw(st.integers(0, 3))
        if act == 0 and key in container:
            del container[key]
        elif act == 1 and isinstance(container, dict):
            container[draw(NAMES)] = container.get(key, 0)
        elif act == 2 and isinstance(container, dict):
            container[draw(NAMES)] = draw(ODD)
        else:
            container[key] = draw(ODD)
    return json.dumps(content, ensure_ascii=draw(st.booleans())), type(event)


@given(changed_events())
def test_what_is_not_as_we_write_it_is_read_or_refused_as_by_the_library(case: tuple[str, type[Message]]) -> None:
    text, kind = case
    assert outcome(from_json, text, kind) == outcome(read_by_library, text, kind)


@given(any_event, st.integers(0), st.binary(max_size=3), st.integers(0, 3))
def test_so_is_damaged_text(event: Message, place: int, piece: bytes, cut: int) -> None:
    whole = to_json(event).encode()
    place %= len(whole) + 1
    text = whole[:place] + piece + whole[place + cut :]
    assert outcome(from_json, text, type(event)) == outcome(read_by_library, text, type(event))


@given(any_event, st.data())
def test_so_is_a_name_that_comes_twice(event: Message, data: st.DataObject) -> None:
    text = to_json(event)
    again = data.draw(st.sampled_from([index for index, character in enumerate(text) if character == "{"]))
    name = data.draw(st.sampled_from([each.json_name for each in event.DESCRIPTOR.fields]))
    text = text[: again + 1] + f'"{name}": null, "{name}": null, ' + text[again + 1 :]
    text = text.replace(", }", "}")
    assert outcome(from_json, text, type(event)) == outcome(read_by_library, text, type(event))


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "7", '"a"', "[" * 100_000, '{"a":' * 100_000, b"\xff", b"\xef\xbb\xbf{}", "{}x", "NaN"]
)
def test_so_is_what_is_no_event(text: str | bytes) -> None:
    assert outcome(from_json, text, ReservationEvent) == outcome(read_by_library, text, ReservationEvent)


def test_what_is_unknown_is_passed_over_up_to_a_depth() -> None:
    text = '{"unknown": [{"a": 1}], "actor": "somebody"}'
    assert from_json(text, ReservationEvent).actor == "somebody"
    with pytest.raises(json_format.ParseError):
        from_json('{"reservation": {"room": {"roomId": 7}}}', ReservationEvent, nesting=2)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
@example(FIRST - 1, 0)
@example(LAST + 1, 0)
@example(0, -1_000_000)
@example(0, 1_000_000_000)
def test_a_time_that_json_cannot_say_is_refused(seconds: int, nanos: int) -> None:
    event = ReservationEvent(reservation=Reservation(start_time=Timestamp(seconds=seconds, nanos=nanos)))
    try:
        expected = by_library(event)
    except json_format.SerializeToJsonError:
        with pytest.raises(ValueError, match="imestamp"):
            to_json(event)
    else:
        assert to_json(event) == expected


@pytest.mark.parametrize("message", [Value(string_value="a"), Struct(), DoubleValue(value=1.0), BytesValue(value=b"a")])
def test_kinds_that_no_contract_has_are_not_written_and_read_by_the_library(message: Message) -> None:
    with pytest.raises(TypeError):
        to_json(message)
    assert from_json(by_library(message), type(message)) == message
