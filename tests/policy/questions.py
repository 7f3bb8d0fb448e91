"""Questions for the default policy. Times are epoch ms; MONDAY is 2025-07-07 08:00 in Shanghai."""

from yunhui.policy.v1 import policy_service_pb2 as pb

from services.platform.clock import HOUR, MINUTE, to_timestamp

MONDAY = 1_751_846_400_000


def question(
    now: int = MONDAY, start: int = MONDAY + 2 * HOUR, minutes: int = 60, people: int = 12, account: str = "booker"
) -> pb.DecideRequest:
    """An hour for twelve people, unless told otherwise."""
    return pb.DecideRequest(
        action=pb.ACTION_CREATE,
        now=to_timestamp(now),
        account=pb.Account(account_id=account),
        subject=pb.Subject(
            start_time=to_timestamp(start),
            end_time=to_timestamp(start + minutes * MINUTE),
            participant_count=people,
            free_room_count=1,
        ),
    )
