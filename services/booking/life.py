"""The life of a reservation as one table: from which state which event leads where."""

from yunhui.booking.v1.reservation_pb2 import ReservationState

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

TRANSITIONS = {
    (PENDING_APPROVAL, "approve"): CONFIRMED,
    (PENDING_APPROVAL, "decline"): DECLINED,
    (PENDING_APPROVAL, "expire"): EXPIRED,
    (PENDING_APPROVAL, "cancel"): CANCELLED,
    (CONFIRMED, "enter"): IN_USE,
    (CONFIRMED, "cancel"): CANCELLED,
    (CONFIRMED, "release"): NO_SHOW,
    (CONFIRMED, "complete"): COMPLETED,
    (IN_USE, "complete"): COMPLETED,
}

_NUMBERS = dict(ReservationState.items())


def next_state(state: str, event: str) -> str | None:
    """Where `event` leads from `state`; None when it is not possible there."""
    return TRANSITIONS.get((state, event))


def to_proto(state: str) -> ReservationState.ValueType:
    return _NUMBERS["RESERVATION_STATE_" + state]


def from_proto(state: int) -> str:
    return ReservationState.Name(ReservationState.ValueType(state)).removeprefix("RESERVATION_STATE_")
