"""Events as people choose and read them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import DeliverPolicy

from services.cli import event_display, events
from services.cli.event_display import EventFilter
from services.cli.failures import CommandError
from services.cli.terminal import Terminal, open_terminal
from services.installation.registry import SERVICE_NAMES
from services.installation.state import write_private
from services.platform.text.languages import CHINESE, ENGLISH

HEADERS = {"ce-time": "2025-07-07T02:00:05.250Z"}
CONFIRMED = "yunhui.booking.reservation.confirmed"
PAYLOAD: dict[str, Any] = {
    "reservation": {"reservationId": "rsv_1", "subject": "组会", "organizer": {"accountId": "ann"}},
    "decision": {"rules": [{"ruleId": "R1"}, {"ruleId": "R2"}]},
}


@pytest.fixture(params=[CHINESE, ENGLISH])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Terminal:
    return open_terminal(str(tmp_path), request.param, json=False)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("yunhui.>", {owner.upper(): f"yunhui.{owner}.>" for owner in SERVICE_NAMES}),
        ("yunhui.policy.>", {"POLICY": "yunhui.policy.>"}),
        ("yunhui.booking.*.suspended", {"BOOKING": "yunhui.booking.*.suspended"}),
        ("version.published", {owner.upper(): f"yunhui.{owner}.version.published" for owner in SERVICE_NAMES}),
    ],
)
def test_a_filter_is_narrowed_to_each_stream(typed: str, expected: dict[str, str]) -> None:
    """The server takes only what lies within a stream."""
    assert event_display.subjects(typed) == expected


@pytest.mark.parametrize("typed", ["reservaton.*", "reservation", "yunhui", "yunhui.", ">.x", "", "yunhui.other.>"])
def test_a_filter_that_nothing_can_match_is_an_error(typed: str) -> None:
    """Silence for ever would look like nothing happening."""
    with pytest.raises(CommandError) as caught:
        event_display.subjects(typed)
    assert "reservation.*" in caught.value.sentence(ENGLISH)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.*.c", "a.b.c", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.b", "a.b", True),
        ("a.b.c", "a.b", False),
    ],
)
def test_patterns_match_as_in_nats(pattern: str, subject: str, expected: bool) -> None:
    assert event_display.matches(pattern, subject) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(), True),
        (EventFilter(account="ann"), True),
        (EventFilter(account="bob"), False),
        (EventFilter(reservation="rsv_1"), True),
        (EventFilter(reservation="rsv_2"), False),
        (EventFilter(since=datetime(2025, 7, 7, 2, 0, 5, 250_000, UTC)), True),
        (EventFilter(since=datetime(2025, 7, 7, 2, 0, 5, 251_000, UTC)), False),
    ],
)
def test_what_is_wanted_is_shown(wanted: EventFilter, expected: bool) -> None:
    assert wanted.includes(HEADERS, PAYLOAD) is expected


def test_a_line_says_when_what_whose_and_why(terminal: Terminal) -> None:
    """Columns stay in line, also in Chinese."""
    line = event_display.to_line(terminal, CONFIRMED, HEADERS, PAYLOAD)
    words = line.split()
    assert words[0] == "2025-07-07"
    assert words[2:] == ["10:00:05", terminal.text(event_display.NAMES[CONFIRMED]), "ann", "rsv_1", "组会", "R1,R2"]
    assert event_display.padded("预定", 6) == "预定  "


def test_a_line_of_the_directory_says_who_and_where(terminal: Terminal) -> None:
    """A member is an account like any other; a department is told by its path."""
    member = {"member": {"accountId": "zhao", "displayName": "赵敏"}, "actor": "admin"}
    assert EventFilter(account="zhao").includes(HEADERS, member)
    assert event_display.to_line(terminal, "yunhui.directory.member.created", HEADERS, member).endswith("  zhao")
    department = {"department": {"departmentId": "dep_1", "path": "软件所/编译组"}, "actor": "admin"}
    line = event_display.to_line(terminal, "yunhui.directory.department.created", HEADERS, department)
    assert line.endswith("  软件所/编译组")


def test_what_is_not_known_is_shown_all_the_same(terminal: Terminal) -> None:
    """A newer program may publish what this command has no words for."""
    line = event_display.to_line(terminal, "yunhui.meetings.meeting.moved", {}, {})
    assert "meetings.meeting.moved" in line


def test_every_event_has_a_line() -> None:
    """Columns are wide enough for the longest name in both languages."""
    widest = max(len(text) for text in event_display.NAMES.values())
    assert widest <= 20


@pytest.mark.parametrize("ahead", [timedelta(hours=-5000), timedelta(0), timedelta(hours=3)])
def test_the_server_begins_early_enough_for_any_development_clock(tmp_path: Path, ahead: timedelta) -> None:
    """It knows events by the real time of their arrival, and they are dated by the development clock."""
    here = open_terminal(str(tmp_path), ENGLISH, json=False)
    write_private(here.state.clock, {"offset_ms": ahead // timedelta(milliseconds=1)})
    arrival = datetime.now(UTC)  # an event that is dated `arrival + ahead`
    policy, start = events.beginning(here, EventFilter(since=arrival + ahead), follow=True)
    assert policy is DeliverPolicy.BY_START_TIME
    assert start
    assert arrival - timedelta(minutes=2) < start <= arrival
