"""What answers look like, on a narrow terminal and in both languages."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy

from services.cli import moments, rendering, standing, watch
from services.cli.reserve import exit_code
from services.cli.terminal import Terminal
from services.installation.state import State

WIDTH = 80


def open_terminal(language: str) -> tuple[Terminal, io.StringIO]:
    written = io.StringIO()
    console = Console(file=written, width=WIDTH)
    return Terminal(State(Path("/nowhere")), language, json=False, out=console, err=console), written


def refusal() -> api.CreateReservationResponse:
    stamp = moments.to_timestamp(moments.parse_moment("2025-07-08 00:00"))
    rule = policy.FiredRule(
        rule_id="DAILY_QUOTA",
        effect=policy.EFFECT_DENY,
        reason=policy.LocalizedText(zh_cn="您当天已预定 3 次，每天最多 3 次。", en="3 of 3 are used."),
        figures=[policy.Figure(name="reservations_that_day", value=3)],
        remedy=policy.Remedy(available_from=stamp, text=policy.LocalizedText(zh_cn="明天再来。", en="Tomorrow.")),
    )
    second = policy.FiredRule(rule_id="WEEKLY_QUOTA", effect=policy.EFFECT_DENY)
    return api.CreateReservationResponse(
        outcome=pb.OUTCOME_DENIED, decision=policy.Decision(effect=policy.EFFECT_DENY, rules=[rule, second])
    )


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("zh-CN", ["未能预定", "拒绝", "每天最多", "怎么办：明天再来。"]),
        ("en", ["refused", "deny", "3 of 3", "helps: Tomorrow."]),
    ],
)
def test_a_refusal_shows_every_rule_with_its_remedy_and_no_raw_name(language: str, expected: list[str]) -> None:
    """Whatever wins, all that spoke are shown, within the width of the terminal."""
    terminal, written = open_terminal(language)
    rendering.show_create(terminal, refusal())
    text = written.getvalue()
    assert all(part in text for part in [*expected, "DAILY_QUOTA", "WEEKLY_QUOTA"])
    assert not any(raw in text for raw in ("reservations_that_day", "DENIED", "EFFECT_"))
    assert max(cell_len(line) for line in text.splitlines()) <= WIDTH


def test_a_reason_in_the_other_language_is_better_than_none() -> None:
    """A policy may lack a translation; the reader still learns why."""
    assert rendering.localized(policy.LocalizedText(en="only English"), "zh-CN") == "only English"


def test_what_people_typed_is_not_read_as_markup() -> None:
    """A subject like "[red]" is text."""
    terminal, written = open_terminal("en")
    record = pb.Reservation(subject="[red]x[/nope]", state=pb.RESERVATION_STATE_CONFIRMED)
    rendering.show_reservation(terminal, record)
    rendering.show_reservations(terminal, [record], with_account=True)
    assert written.getvalue().count("[red]x") == 2


def test_a_change_is_one_line_that_says_when_what_and_whose() -> None:
    """However long it is: lines are what other programs cut."""
    terminal, written = open_terminal("zh-CN")
    start, end = (moments.to_timestamp(moments.parse_moment(f"2025-07-08 {hour}:00")) for hour in (10, 11))
    record = pb.Reservation(
        reservation_id="rsv_1",
        state=pb.RESERVATION_STATE_CANCELLED,
        organizer=pb.Organizer(account_id="booker"),
        subject="[red]" + "x" * 100,
        update_time=moments.to_timestamp(moments.parse_moment("2025-07-07 08:00")),
        start_time=start,
        end_time=end,
    )
    watch.show_change(terminal, api.WatchReservationsResponse(reservation=record))
    line = "2025-07-07 周一 08:00（北京时间）  已取消  rsv_1  2025-07-08 周二 10:00–11:00  –  booker  [red]"
    assert written.getvalue() == line + "x" * 100 + "\n"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (pb.OUTCOME_CONFIRMED, 0),
        (pb.OUTCOME_PENDING_APPROVAL, 0),
        (pb.OUTCOME_REDIRECTED, 3),
        (pb.OUTCOME_DENIED, 3),
    ],
)
def test_exit_codes_of_outcomes(outcome: int, code: int) -> None:
    """Programs tell a refusal from an error."""
    assert exit_code(outcome) == code


@pytest.mark.parametrize(
    ("language", "line"), [("zh-CN", "今日 1/3 · 本周 4/10"), ("en", "Today 1/3 · This week 4/10")]
)
def test_the_quota_fits_in_a_line(language: str, line: str) -> None:
    """What is used of what there is."""
    day = policy.QuotaUsage(used=1, limit=3, name=policy.LocalizedText(zh_cn="今日", en="Today"))
    week = policy.QuotaUsage(used=4, limit=10, name=policy.LocalizedText(zh_cn="本周", en="This week"))
    quotas = [policy.QuotaStanding(usage=usage) for usage in (day, week)]
    assert standing.quota_line(open_terminal(language)[0], pb.Standing(quotas=quotas)) == line


def test_every_state_outcome_and_effect_has_a_word() -> None:
    """A new value in the contract must not break a table."""
    assert set(rendering.STATES) == set(pb.ReservationState.values()) - {0}
    assert set(rendering.OUTCOMES) == set(pb.Outcome.values()) - {0}
    assert set(rendering.EFFECTS) == set(policy.Effect.values()) - {0}
