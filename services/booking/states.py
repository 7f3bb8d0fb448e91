"""The life of a reservation as one table: from which state which event leads where, on what condition, and who is told.

docs/life.md is made from it (python -m services.booking.states).
"""

from dataclasses import dataclass
from pathlib import Path

from yunhui.booking.v1.reservation_pb2 import ReservationState

from services.platform.text.messages import pmessage

PENDING_APPROVAL = "PENDING_APPROVAL"
CONFIRMED = "CONFIRMED"
IN_USE = "IN_USE"
COMPLETED = "COMPLETED"
NO_SHOW = "NO_SHOW"
CANCELLED = "CANCELLED"
DECLINED = "DECLINED"
EXPIRED = "EXPIRED"

STATES = (PENDING_APPROVAL, CONFIRMED, IN_USE, COMPLETED, NO_SHOW, CANCELLED, DECLINED, EXPIRED)
HOLDING = (CONFIRMED, IN_USE)
COMING = (PENDING_APPROVAL, CONFIRMED)
CALLED_OFF = (CANCELLED, DECLINED, EXPIRED)

ATTENDANCE = "attendance"
COMPLETION = "completion"
ESCALATION = "escalation"
SUSPENSION_END = "suspension_end"
RECONCILIATION = "reconciliation"
ARRIVAL = "arrival"

DEADLINES: dict[str, tuple[str, ...]] = {
    PENDING_APPROVAL: (ESCALATION,),
    CONFIRMED: (ATTENDANCE, COMPLETION, RECONCILIATION, ARRIVAL),
    IN_USE: (COMPLETION,),
}
"""What the clock still has to do with a reservation in a state; the other states are final.

attendance: released if nobody came; while the meetings gateway cannot say who came, it is asked again until the end.
completion: at the end, and not before attendance was due.
reconciliation: the meeting is looked at again before the start; only where meetings are looked up.
arrival: somebody looked in before the start: is anybody still there? Asked at the start, where meetings are looked up.
"""

BOOKER, SUPPORT, GATEWAY, CLOCK = "booker", "support", "meetings gateway", "clock"


@dataclass(frozen=True, slots=True)
class Transition:
    """`guard` and `duty` are for readers; the code that holds them is named after the event."""

    state: str
    event: str
    next_state: str
    by: str
    guard: str
    duty: str
    publishes: str


_NEW = ""
_TABLE = (
    Transition(_NEW, "request", CONFIRMED, BOOKER, "policy says ALLOW", "takes a room", "confirmed"),
    Transition(_NEW, "request", PENDING_APPROVAL, BOOKER, "policy says ESCALATE", "asks support", "pending_approval"),
    Transition(
        PENDING_APPROVAL,
        "approve",
        CONFIRMED,
        SUPPORT,
        "in time, by a second person, and a room is free",
        "takes a room",
        "approved",
    ),
    Transition(
        PENDING_APPROVAL, "decline", DECLINED, SUPPORT, "in time, by a second person", "quota comes back", "declined"
    ),
    Transition(PENDING_APPROVAL, "expire", EXPIRED, CLOCK, "booking has closed", "quota comes back", "expired"),
    Transition(PENDING_APPROVAL, "cancel", CANCELLED, BOOKER, "", "policy says whether quota comes back", "cancelled"),
    Transition(
        PENDING_APPROVAL, "update", PENDING_APPROVAL, BOOKER, "policy says ESCALATE", "support sees it", "updated"
    ),
    Transition(PENDING_APPROVAL, "confirm", CONFIRMED, BOOKER, "changed, policy says ALLOW", "takes a room", "updated"),
    Transition(
        *(PENDING_APPROVAL, "hand_over", PENDING_APPROVAL, SUPPORT, "policy says ALLOW or ESCALATE to the new account"),
        *("support sees it; counts for the new account, no more for the former", "handed_over"),
    ),
    Transition(
        PENDING_APPROVAL,
        "notice",
        PENDING_APPROVAL,
        GATEWAY,
        "the meeting was changed",
        "it is shown",
        "meeting_changed",
    ),
    Transition(
        *(CONFIRMED, "update", CONFIRMED, BOOKER, "policy says ALLOW"),
        *("keeps the room, or for more takes one that fits", "updated"),
    ),
    Transition(
        CONFIRMED,
        "note",
        CONFIRMED,
        GATEWAY,
        "somebody entered before that counts, at most an hour before the start",
        "noted once; at the start the gateway is asked who is still there",
        "entered_early",
    ),
    Transition(
        CONFIRMED,
        "enter",
        IN_USE,
        GATEWAY,
        "somebody was inside between the start, or earlier if the policy says so, and the release",
        "",
        "in_use",
    ),
    Transition(
        *(CONFIRMED, "hand_over", CONFIRMED, SUPPORT),
        "not begun, policy says ALLOW to the new account, or ESCALATE and a second person hands over",
        *("keeps the room; counts for the new account, no more for the former", "handed_over"),
    ),
    Transition(CONFIRMED, "notice", CONFIRMED, GATEWAY, "the meeting was changed", "it is shown", "meeting_changed"),
    Transition(
        CONFIRMED, "cancel", CANCELLED, BOOKER, "", "room free, policy says whether quota comes back", "cancelled"
    ),
    Transition(
        CONFIRMED, "lapse", CANCELLED, GATEWAY, "the meeting was cancelled", "as if the booker cancelled", "cancelled"
    ),
    Transition(
        CONFIRMED,
        "release",
        NO_SHOW,
        CLOCK,
        "it is known, and policy says, that nobody came in time",
        "room free, violation",
        "released",
    ),
    Transition(
        CONFIRMED,
        "complete",
        COMPLETED,
        CLOCK,
        "end reached, and nobody can say who came, or the policy does not ask",
        "room free, no judgement",
        "completed",
    ),
    Transition(IN_USE, "notice", IN_USE, GATEWAY, "the meeting was changed", "it is shown", "meeting_changed"),
    Transition(IN_USE, "complete", COMPLETED, CLOCK, "end reached", "room free", "completed"),
    Transition(IN_USE, "end", COMPLETED, BOOKER, "early give-back", "room free", "completed"),
    Transition(
        NO_SHOW,
        "prove",
        COMPLETED,
        GATEWAY,
        "late proof that somebody was there in time",
        "violation annulled",
        "completed",
    ),
)

STATE_WORDS = {
    PENDING_APPROVAL: pmessage("a reservation that", "waits for support"),
    CONFIRMED: pmessage("a reservation that", "is confirmed"),
    IN_USE: pmessage("a reservation that", "is in use"),
    COMPLETED: pmessage("a reservation that", "is completed"),
    NO_SHOW: pmessage("a reservation that", "is a no-show"),
    CANCELLED: pmessage("a reservation that", "is cancelled"),
    DECLINED: pmessage("a reservation that", "was declined"),
    EXPIRED: pmessage("a reservation that", "has expired"),
}
EVENT_WORDS = {
    "approve": pmessage("cannot be", "approved"),
    "cancel": pmessage("cannot be", "cancelled"),
    "decline": pmessage("cannot be", "declined"),
    "end": pmessage("cannot be", "ended early"),
    "enter": pmessage("cannot be", "entered"),
    "hand_over": pmessage("cannot be", "handed over"),
    "note": pmessage("cannot be", "entered"),
    "prove": pmessage("cannot be", "entered"),
    "update": pmessage("cannot be", "changed"),
}
"""How a state, and what was asked for, is said when the one does not allow the other."""

TRANSITIONS = {(each.state, each.event): each for each in _TABLE if each.state != _NEW}
EVENTS = tuple(dict.fromkeys(event for _, event in TRANSITIONS))

_NUMBERS = dict(ReservationState.items())


def next_state(state: str, event: str) -> str | None:
    """Where `event` leads from `state`; None when it is not possible there."""
    transition = TRANSITIONS.get((state, event))
    return transition.next_state if transition else None


def to_proto(state: str) -> ReservationState.ValueType:
    return _NUMBERS["RESERVATION_STATE_" + state]


def from_proto(state: int) -> str:
    return ReservationState.Name(ReservationState.ValueType(state)).removeprefix("RESERVATION_STATE_")


def to_page() -> str:
    """The table as a Markdown page, with its picture."""
    picture = [f"    {each.state or '[*]'} --> {each.next_state}: {each.event}" for each in _TABLE]
    final = [f"    {state} --> [*]" for state in STATES if state not in DEADLINES]
    rows = [
        f"| {each.state or 'new'} | {each.event} | {each.next_state} | {each.by} | {each.guard}"
        f" | {each.duty} | reservation.{each.publishes} |"
        for each in _TABLE
    ]
    waits = [f"| {state} | {', '.join(kinds)} |" for state, kinds in DEADLINES.items()]
    return "\n".join(
        [
            "<!-- Made by `python -m services.booking.states` from the table there; do not edit. -->",
            "# The life of a reservation",
            "",
            "```mermaid",
            "stateDiagram-v2",
            *picture,
            *final,
            "```",
            "",
            "Whatever is not in this table is refused with FAILED_PRECONDITION, and nothing changes.",
            "",
            "| state | event | next state | by | only when | what goes with it | published |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "A room is held in the states " + " and ".join(HOLDING) + ". What the clock does in a state:",
            "",
            "| state | deadlines |",
            "|---|---|",
            *waits,
            "",
        ]
    )


if __name__ == "__main__":
    Path("docs/life.md").write_text(to_page(), encoding="utf-8")
