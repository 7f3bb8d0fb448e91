"""What nobody should send: Hypothesis strategies made from the descriptors of the contracts."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

import services.policy

POLICY = (Path(services.policy.__file__).parent / "rules" / "default.yaml").read_text(encoding="utf-8")
TABLE = (Path(services.policy.__file__).parent / "rules" / "default.test.yaml").read_text(encoding="utf-8")
DEEPEST = 4
TEXTS = (
    *("", " ", "a", "rsv_x", "../../etc/passwd", "'; DROP TABLE room; --", "%s%n", "{{7*7}}", "\x00", "\n", "\r\nX: y"),
    *("会" * 300, "x" * 5000, "١٢٣", "\u202e\u200f", "e\u0301" * 100, "\U0010ffff", "NaN", "-1", "1e999", "9" * 400),
    *("123-456-789", "123456789", "1234567890", "booker", "admin", "yunhui.booking.>", "yunhui.booking.*.*", "dec.x"),
)


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


BY_NAME: dict[str, tuple[str, ...]] = {
    "page_token": (
        *(_token(text) for text in ("[1,2]", '[1e400,"x"]', '[1.5,""]', f'[{"9" * 30},"x"]', "null", "[", "[" * 9000)),
        *(_token(text) for text in ('[-9e18,"rsv_x"]', '["1",{}]', '[NaN,""]', '[true,"\\u0000"]', '[1,"\\ud800"]')),
        *("2", "9" * 30, "-1", "W10", "é", "rsv_x"),
    ),
    "recurrence_rule": (
        *("FREQ=DAILY;COUNT=3", "FREQ=SECONDLY;COUNT=99999999", "FREQ=DAILY;UNTIL=99991231T235959Z", "FREQ=DAILY"),
        *(
            "FREQ=MONTHLY;BYMONTHDAY=31;COUNT=60",
            "FREQ=DAILY;INTERVAL=0;COUNT=2",
            "FREQ=MONTHLY;BYMONTHDAY=-31;COUNT=2",
        ),
        *("FREQ=WEEKLY;BYDAY=99MO;COUNT=2", "FREQ=DAILY;COUNT=" + "9" * 30, "RRULE:FREQ=DAILY;COUNT=2", "FREQ=YEARLY"),
        *("FREQ=MONTHLY;BYMONTHDAY=30;INTERVAL=12;COUNT=60", "FREQ=DAILY;INTERVAL=999999999;COUNT=60"),
    ),
    "time_zone": (
        "Asia/Shanghai",
        "UTC",
        "../UTC",
        "Etc/GMT+99",
        "posix/UTC",
        "/etc/passwd",
        "Asia",
        "\x00",
        "zone.tab",
    ),
    "url": (
        *("https://127.0.0.1:1/", "http://[::1]/", "https://a@b:99999/", "file:///etc/passwd", "https://" + "a" * 3000),
        *(
            "https://[",
            "https://例え.jp/\u2028",
            "http://0x7f000001/",
            "https://a..b/",
            "http://1.1.1.1:0/",
            "https://xn--/",
        ),
    ),
    "filter": ("yunhui.booking.>", "yunhui.booking.*.*", "yunhui.booking" + ".a" * 900, "yunhui.>", ">"),
    "version": ("default@1", "default@" + "9" * 30, "default@-1", "default@1e9", "@", "default@\u0661"),
    "policy_version": ("default@1", "default@2", "default@-1", "@1"),
    "base_version": ("default@1", "default@2"),
    "meeting_code": ("123-456-789", "1234567890", "腾讯会议 123 456 789", "１２３４５６７８９", "1" * 5000),
    "notice": ("reminder", "digest", "confirmation"),
    "source": (
        *(POLICY, POLICY.replace("3", "10e9"), POLICY.replace(":", ": [", 9), POLICY.replace("3", ".nan")),
        *(
            "a: &a [*a]",
            "[" * 3000,
            "{a: " * 800,
            "? " * 500,
            "!!python/name:os.system",
            "\t",
            "a: b: c",
            "%YAML 9.9\n---\n",
        ),
        *(
            POLICY.replace("Asia/Shanghai", "../x"),
            POLICY.replace("- ", "- &x ", 5) + "\nz: *x\n",
            POLICY * 2,
            POLICY[:900],
        ),
        "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nd: &d [*c,*c,*c]\ne: [*d,*d,*d]",
    ),
    "tests": (TABLE, TABLE.replace("3", "-3"), TABLE[:700], "[]", "- {}", "cases: 7", TABLE.replace("2025", "99999")),
}
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
USUAL_NUMBERS = (
    0,
    1,
    -1,
    2,
    12,
    50,
    99,
    100,
    500,
    501,
    10_000,
    10**9 - 1,
    1_751_860_800,
    1_752_000_000,
    253_402_300_799,
)
NO_MESSAGES = (
    b"\xff\xff\xff\xff",
    b"\x0b" * 3000,
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\x02\xc3\x28",
    b"\x08" + b"\xff" * 10,
)
MOST_BYTES = 300_000
Strategy = st.SearchStrategy[Any]
SOON: Strategy = st.integers(2, 40).map(lambda hours: Timestamp(seconds=1_751_846_400 + 3600 * hours))
"""Times at which something could be reserved, after the Monday at which the installation's clock begins."""


class Hostile:
    """`known` are texts that stand for something real, so that some messages get further than the first check."""

    def __init__(self, known: Sequence[str]) -> None:
        self._texts = st.one_of(
            st.sampled_from([*known, *TEXTS]),
            st.sampled_from(known or TEXTS),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
        )
        self._messages: dict[tuple[str, int], Strategy] = {}

    def bodies(self, descriptor: Descriptor) -> Strategy:
        """Messages as bytes, whole and damaged, and bytes that are none."""
        whole = self.messages(descriptor).map(lambda message: message.SerializeToString())
        return st.one_of(whole, whole, whole, _damaged(whole), st.binary(max_size=300), st.sampled_from(NO_MESSAGES))

    def documents(self, descriptor: Descriptor) -> Strategy:
        """The same as proto3 JSON."""
        whole = self.messages(descriptor).map(_to_json)
        odd = st.sampled_from((b"", b"{}", b"[]", b"null", b"[" * 20_000, b'{"a":' * 5000, b'{"eventId":{}}', b"\xff{"))
        return st.one_of(whole, whole, _damaged(whole), odd)

    def messages(self, descriptor: Descriptor, depth: int = 0) -> Strategy:
        key = (descriptor.full_name, depth)
        if key not in self._messages:
            fields = {field.name: _mostly(self._field(field, depth)) for field in descriptor.fields}
            kind = GetMessageClass(descriptor)
            built = st.fixed_dictionaries(fields).map(lambda values: kind(**values))
            self._messages[key] = SOON | built if kind is Timestamp else built
        return self._messages[key]

    def _field(self, field: FieldDescriptor, depth: int) -> Strategy:
        if field.message_type and depth >= DEEPEST:
            return st.none()
        if field.message_type and field.message_type.GetOptions().map_entry:
            parts = field.message_type.fields_by_name
            return st.dictionaries(self._value(parts["key"], depth), self._value(parts["value"], depth), max_size=3)
        value = self._value(field, depth)
        return st.lists(value, max_size=3) if field.is_repeated else value

    def _value(self, field: FieldDescriptor, depth: int) -> Strategy:
        if field.message_type:
            return self.messages(field.message_type, depth + 1)
        if field.enum_type:
            return st.sampled_from([*field.enum_type.values_by_number, 77, -1, 2**31 - 1])
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            if field.type == FieldDescriptor.TYPE_BYTES:
                return st.binary(max_size=100)
            named = BY_NAME.get(field.name)
            return st.sampled_from(named) | self._texts if named else self._texts
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        if field.cpp_type in RANGES:
            low, high = RANGES[field.cpp_type]
            usual = [number for number in USUAL_NUMBERS if low <= number <= high]
            return st.sampled_from([*usual, low, high]) | st.integers(low, high)
        return st.floats()


def _mostly(value: Strategy) -> Strategy:
    return st.one_of(value, value, value, st.none())


def _to_json(message: Message) -> bytes:
    try:
        return json_format.MessageToJson(message).encode()
    except (ValueError, json_format.SerializeToJsonError):  # a time that JSON cannot say
        return b'{"eventTime": "99999-99-99T99:99:99Z"}'


def _damaged(whole: Strategy) -> Strategy:
    """A byte changed, cut, or doubled."""

    def damage(parts: tuple[bytes, int, int]) -> bytes:
        body, place, byte = parts
        place %= len(body) + 1
        return (body[:place], body[:place] + bytes([byte]) + body[place + 1 :], (body[place:] + body)[:MOST_BYTES])[
            byte % 3
        ]

    return st.tuples(whole, st.integers(0, 10_000), st.integers(0, 255)).map(damage)
