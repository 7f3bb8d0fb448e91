"""What booking asks the policy: one form for new requests, changes, cancellations, no-shows and standings."""

from collections.abc import Iterable

from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.platform.clock import to_timestamp


def compose_question(
    action: pdp.Action.ValueType,
    person: pb.Organizer,
    roles: Iterable[str],
    subject: pdp.Subject,
    history: pdp.History,
    now: int,
    decision_id: str = "",
) -> pdp.DecideRequest:
    """`person` is whose account is charged; `now` in epoch ms.

    Without a `decision_id` the policy derives one from the question: the same for the same.
    """
    return pdp.DecideRequest(
        decision_id=decision_id,
        action=action,
        now=to_timestamp(now),
        account=pdp.Account(account_id=person.account_id, department=person.department, roles=sorted(roles)),
        subject=subject,
        history=history,
    )
