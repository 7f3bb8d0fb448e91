"""What counts as an event."""

import pytest

from services.notifier.events import UnreadableEventError, parse
from tests.notifier import samples

GOOD = samples.payload(samples.confirmed())
HEADERS = samples.headers("reservation.confirmed")

POISON = {
    "no payload": (HEADERS, b""),
    "not JSON": (HEADERS, b"\xff\xfe{"),
    "other JSON": (HEADERS, b"[1, 2]"),
    "wrong type inside": (HEADERS, b'{"reservation": {"startTime": "soon"}}'),
    "no interval": (HEADERS, b'{"reservation": {"reservationId": "r"}}'),
    "deep": (HEADERS, b'{"x":' * 5000 + b"1" + b"}" * 5000),
    "no id": ({name: HEADERS[name] for name in ("ce-type", "ce-time")}, GOOD),
    "id with a line break": ({**HEADERS, "ce-id": "x\r\nBcc: y"}, GOOD),
    "no time": ({name: HEADERS[name] for name in ("ce-type", "ce-id")}, GOOD),
    "no type": ({"ce-id": "event-1"}, GOOD),
    "time in words": ({**HEADERS, "ce-time": "noon"}, GOOD),
}


@pytest.mark.parametrize("name", POISON)
def test_poison_is_told_apart(name: str) -> None:
    """Unreadable for good, and said without quoting any of it."""
    headers, payload = POISON[name]
    with pytest.raises(UnreadableEventError) as caught:
        parse(headers, payload)
    assert samples.BOOKER not in str(caught.value)


def test_unknown_fields_and_entities_are_tolerated() -> None:
    """Booking may grow without asking the notifier first."""
    event = parse(HEADERS, GOOD[:-1] + b', "later": {"x": 1}}')
    assert event is not None
    assert event.type == "reservation.confirmed"
    assert parse({**HEADERS, "ce-type": "yunhui.booking.room.created"}, b"{}") is None
