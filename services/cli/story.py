"""The tutorial's rules as a story: each step asks the running programs something and judges the answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1.decision_pb2 import Decision

from services.cli import moments, rendering
from services.cli.mail import Mail
from services.cli.stage import Stage, wait_for
from services.installation.issuer import SampleAccount
from services.platform.text.messages import Text, message

CLOCK = "2025-07-07T08:00+08:00"
MONDAY = moments.parse_moment("2025-07-07 00:00")
SUPPORT = "dccloud@cnic.cn"


@dataclass(frozen=True, slots=True)
class Scene:
    """How one step came out. `reasons` are sentences in the reader's language."""

    asked: str
    answer: str
    expected: str
    reasons: Sequence[str] = ()
    letter: Mail | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        return self.answer == self.expected


Step = tuple[Text, Callable[[Stage], Scene]]


def tutorial_meeting(stage: Stage) -> Scene:
    return ask(stage, "booker", at(0, 10), 30, 12, "REDIRECTED SMALL_MEETING")


def ordinary_meeting(stage: Stage) -> Scene:
    scene = ask(stage, "booker", at(0, 10), 60, 12, "CONFIRMED, invite.ics")
    letter = wait_for(lambda: stage.mail_to(SampleAccount("booker", "booker").email))
    invited = bool(letter) and "invite.ics" in (letter.attachments if letter else ())
    return Scene(scene.asked, scene.answer + (", invite.ics" if invited else ""), scene.expected, scene.reasons)


def fourth_of_a_day(stage: Stage) -> Scene:
    book(stage, "booker-2", (at(0, hour) for hour in (10, 12, 14)))
    return ask(stage, "booker-2", at(0, 16), 60, 12, "DENIED DAILY_QUOTA")


def eleventh_of_a_week(stage: Stage) -> Scene:
    book(stage, "booker-3", (at(day, hour) for day in range(3) for hour in (10, 12, 14)))
    book(stage, "booker-3", [at(3, 10)])
    return ask(stage, "booker-3", at(4, 10), 60, 12, "DENIED WEEKLY_QUOTA")


def eight_days_ahead(stage: Stage) -> Scene:
    return ask(stage, "booker", at(8, 10), 60, 12, "DENIED BOOKING_HORIZON")


def shortly_before(stage: Stage) -> Scene:
    return ask(stage, "booker", stage.now() + timedelta(minutes=29), 60, 12, "DENIED BOOKING_CUTOFF")


def large_meeting(stage: Stage) -> Scene:
    scene = ask(stage, "booker-4", at(1, 10), 60, 120, f"PENDING_APPROVAL LARGE_MEETING, {SUPPORT}")
    letter = wait_for(lambda: stage.mail_to(SUPPORT))
    told = f", {SUPPORT}" if letter else ""
    return Scene(scene.asked, scene.answer + told, scene.expected, scene.reasons, letter)


def nobody_comes(stage: Stage) -> Scene:
    """Nobody but somebody else, in a meeting of their own at the same time."""
    [kept] = book(stage, "booker-6", [at(0, 9)])
    scene = miss(stage, at(0, 9), "NO_SHOW, VIOLATIONS 1; booker-6: IN_USE", {"booker-6": kept})
    return replace(scene, answer=f"{scene.answer}; booker-6: {state_of(stage, 'booker-6', kept)}")


def nobody_comes_again(stage: Stage) -> Scene:
    end = at(7, 11) + timedelta(minutes=30)
    return miss(stage, at(0, 11), f"NO_SHOW, VIOLATIONS 2, SUSPENDED {end:%Y-%m-%d %H:%M}")


def suspended_account(stage: Stage) -> Scene:
    return ask(stage, "booker-5", at(1, 15), 60, 12, "DENIED SUSPENSION")


STEPS: Sequence[Step] = (
    (message("the tutorial's own 30-minute meeting"), tutorial_meeting),
    (message("an ordinary meeting of an hour"), ordinary_meeting),
    (message("the 4th of one day"), fourth_of_a_day),
    (message("the 11th of one week"), eleventh_of_a_week),
    (message("8 days ahead"), eight_days_ahead),
    (message("29 minutes before the start"), shortly_before),
    (message("a large meeting of 120"), large_meeting),
    (message("nobody enters within 30 minutes"), nobody_comes),
    (message("the second no-show of a week"), nobody_comes_again),
    (message("reserving while suspended"), suspended_account),
)


def at(day: int, hour: int) -> datetime:
    """So many days after the story's Monday, on the hour."""
    return MONDAY + timedelta(days=day, hours=hour)


def ask(stage: Stage, account: str, start: datetime, minutes: int, people: int, expected: str) -> Scene:
    answer = stage.reserve(account, start, minutes, people)
    return Scene(
        describe(stage, account, start, minutes, people),
        summary(answer),
        expected,
        reasons(answer.decision, stage.language),
    )


def book(stage: Stage, account: str, starts: Iterable[datetime]) -> list[str]:
    """Reservations that the story needs. Raises AssertionError when one is not confirmed."""
    made = []
    for start in starts:
        answer = stage.reserve(account, start, 60, 12)
        if answer.outcome != pb.OUTCOME_CONFIRMED:
            raise AssertionError(f"{account} {start:%m-%d %H:%M}: {summary(answer)}")
        made.append(answer.reservation.reservation_id)
    return made


def miss(stage: Stage, start: datetime, expected: str, kept: Mapping[str, str] | None = None) -> Scene:
    """A reservation that nobody comes to, and what the account's standing says after it.

    The accounts in `kept` enter the meetings of theirs at the start.
    """
    [reservation_id] = book(stage, "booker-5", [start])
    asked = describe(stage, "booker-5", start, 60, 12)
    if kept:
        stage.move_to(start)
    for account, own in (kept or {}).items():
        stage.enter(account, stage.reservation(account, own).meeting_code)
    later = start + timedelta(minutes=30, seconds=1)
    stage.move_to(later)
    wait_for(lambda: stage.reservation("booker-5", reservation_id).state == pb.RESERVATION_STATE_NO_SHOW)
    answer = state_of(stage, "booker-5", reservation_id) + standing_summary(stage.standing("booker-5"))
    return Scene(f"{asked} → {later:%H:%M}", answer, expected)


def state_of(stage: Stage, account: str, reservation_id: str) -> str:
    state = stage.reservation(account, reservation_id).state
    return pb.ReservationState.Name(state).removeprefix("RESERVATION_STATE_")


def standing_summary(standing: pb.Standing) -> str:
    words = f", VIOLATIONS {len(standing.violations)}"
    if standing.HasField("closed_until"):
        words += f", SUSPENDED {moments.to_moment(standing.closed_until):%Y-%m-%d %H:%M}"
    return words


def describe(stage: Stage, account: str, start: datetime, minutes: int, people: int) -> str:
    return message("{account}, {start}, {minutes} min, {people} people").to(
        stage.language, account=account, start=f"{start:%m-%d %H:%M}", minutes=minutes, people=people
    )


def summary(answer: api.CreateReservationResponse) -> str:
    """Outcome and every rule that fired, as in 'DENIED DAILY_QUOTA'."""
    outcome = pb.Outcome.Name(answer.outcome).removeprefix("OUTCOME_")
    return " ".join([outcome, *(rule.rule_id for rule in answer.decision.rules)])


def reasons(decision: Decision, language: str) -> list[str]:
    return [rendering.localized(rule.reason, language) for rule in decision.rules]
