"""What a question tells of an account's past: all that lies at the horizon or later, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from yunhui.policy.v1 import policy_service_pb2 as policy

from services.booking.past import Horizon, Past, horizon, last_moment, starts_of
from services.platform.clock import DAY, SECOND, to_timestamp
from tests.booking.builders import MONDAY

moments = st.integers(MONDAY - 3 * DAY, MONDAY + DAY)


@st.composite
def reservations(draw: st.DrawFn) -> policy.PastReservation:
    former = draw(st.lists(moments, max_size=2))
    asked = draw(st.none() | moments)
    return policy.PastReservation(
        reservation_id=draw(st.uuids()).hex,
        start_time=to_timestamp(draw(moments)),
        former_starts=[policy.FormerStart(start_time=to_timestamp(each)) for each in former],
        escalate_time=None if asked is None else to_timestamp(asked),
    )


histories = st.builds(
    policy.History,
    reservations=st.lists(reservations(), max_size=8),
    violations=st.lists(moments.map(lambda each: policy.PastViolation(violation_time=to_timestamp(each))), max_size=4),
    suspensions=st.lists(moments.map(lambda each: policy.PastSuspension(end_time=to_timestamp(each))), max_size=2),
)


@given(history=histories, since=moments, violations_since=moments)
def test_all_that_lies_at_the_horizon_or_later(history: policy.History, since: int, violations_since: int) -> None:
    """The same entries as a scan finds."""
    told = Past(history).since(Horizon(since, violations_since))
    kept = [each.reservation_id for each in history.reservations if last_moment(each) >= since]
    assert sorted(each.reservation_id for each in told.reservations) == sorted(kept)
    seconds = sorted(each.violation_time.ToMilliseconds() for each in history.violations)
    assert [each.violation_time.ToMilliseconds() for each in told.violations] == [
        each for each in seconds if each >= violations_since
    ]
    assert len(told.suspensions) == len(history.suspensions)
    assert (told.from_time, told.violations_from_time) == (to_timestamp(since), to_timestamp(violations_since))


def test_the_earliest_of_all_starts_counts_or_the_moment_of_the_question() -> None:
    window = policy.HistoryWindow(before_start_seconds=60, before_now_seconds=10, violations_before_now_seconds=5)
    subject = policy.Subject(start_time=to_timestamp(MONDAY), next_free_time=to_timestamp(MONDAY + DAY))
    assert list(starts_of(subject)) == [MONDAY, MONDAY + DAY]
    subject.former_start_time.CopyFrom(to_timestamp(MONDAY - 1))
    subject.former_starts.add(start_time=to_timestamp(MONDAY - 2))
    starts = list(starts_of(subject))
    assert horizon(window, starts, MONDAY) == Horizon(MONDAY - 2 - 60 * SECOND, MONDAY - 5 * SECOND)
    assert horizon(window, starts, MONDAY - DAY).reservations == MONDAY - DAY - 10 * SECOND
