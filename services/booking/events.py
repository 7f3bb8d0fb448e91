"""The facts that booking tells the world, and the ids of everything it makes."""

from google.protobuf.message import Message
from yunhui.booking.v1 import events_pb2 as events
from yunhui.booking.v1 import reservation_pb2 as pb

from services.platform.ids import new_id
from services.platform.messaging.bus import Event
from services.platform.messaging.proto_json import to_json
from services.platform.observing import traces

SYSTEM = "system"


def reservation_event(name: str, payload: events.ReservationEvent, time: int) -> Event:
    """About a reservation that exists; its version is the sequence of the event."""
    record = payload.reservation
    return _event(f"yunhui.booking.reservation.{name}", record.reservation_id, record.version, payload, time)


def refusal_event(name: str, payload: events.ReservationEvent, time: int) -> Event:
    """About a request that came to nothing; its entity is the decision."""
    return _event(f"yunhui.booking.reservation.{name}", payload.decision.decision_id, 1, payload, time)


def account_event(name: str, payload: events.AccountEvent, seq: int, time: int) -> Event:
    return _event(f"yunhui.booking.account.{name}", payload.account.account_id, seq, payload, time)


def _event(subject: str, entity_id: str, entity_seq: int, payload: Message, time: int) -> Event:
    return Event(new_id("evt"), subject, entity_id, entity_seq, time, to_json(payload), traces.current())


def to_outcome(effect_name: str) -> pb.Outcome.ValueType:
    """EFFECT_ALLOW becomes CONFIRMED, and so on: what an effect means for a request for a room."""
    return _OUTCOMES[effect_name]


_OUTCOMES = {
    "EFFECT_ALLOW": pb.OUTCOME_CONFIRMED,
    "EFFECT_ESCALATE": pb.OUTCOME_PENDING_APPROVAL,
    "EFFECT_REDIRECT": pb.OUTCOME_REDIRECTED,
    "EFFECT_DENY": pb.OUTCOME_DENIED,
}
