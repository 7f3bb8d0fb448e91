"""What a question tells of an account's past: all that lies within the horizon, and little else."""

from hypothesis import given
from hypothesis import strategies as st
from yunhui.policy.v1 import policy_service_pb2 as policy

from services.booking.past import Horizon, Past, horizon, moments, starts_of
from services.platform.clock import DAY, SECOND, to_timestamp
from tests.booking.builders import MONDAY

times = st.integers(MONDAY - 3 * DAY, MONDAY + DAY)


@st.composite
def reservations(draw: st.DrawFn) -> policy.PastReservation:
    former = draw(st.lists(times, max_size=2))
    asked = draw(st.none() | times)
    return policy.PastReservation(
        reservation_id=draw(st.uuids()).hex,
        start_time=to_timestamp(draw(times)),
        former_starts=[policy.FormerStart(start_time=to_timestamp(each)) for each in former],
        escalate_time=None if asked is None else to_timestamp(asked),
    )


histories = st.builds(
    policy.History,
    reservations=st.lists(reservations(), max_size=8),
    violations=st.lists(times.map(lambda each: policy.PastViolation(violation_time=to_timestamp(each))), max_size=4),
    suspensions=st.lists(times.map(lambda each: policy.PastSuspension(end_time=to_timestamp(each))), max_size=2),
)


@given(history=histories, since=times, violations_since=times, until=st.none() | times)
def test_all_that_lies_within_the_horizon(
    history: policy.History, since: int, violations_since: int, until: int | None
) -> None:
    """The same entries as a scan finds; none that is over before, or begins after."""
    told = Past(history).within(Horizon(since, violations_since, until))
    kept = [each.reservation_id for each in history.reservations if reaches(each, since, until)]
    assert sorted(each.reservation_id for each in told.reservations) == sorted(kept)
    seconds = sorted(each.violation_time.ToMilliseconds() for each in history.violations)
    assert [each.violation_time.ToMilliseconds() for each in told.violations] == [
        each for each in seconds if each >= violations_since
    ]
    assert len(told.suspensions) == len(history.suspensions)
    assert (told.from_time, told.violations_from_time) == (to_timestamp(since), to_timestamp(violations_since))
    assert told.HasField("until_time") == (until is not None)
    assert until is None or told.until_time == to_timestamp(until)


def test_of_a_bounded_history_no_more_is_told_than_there_is() -> None:
    past = Past(policy.History(from_time=to_timestamp(MONDAY), until_time=to_timestamp(MONDAY + DAY)))
    for asked, since, until in (
        (Horizon(MONDAY - 1, 0, MONDAY + DAY + 1), MONDAY, MONDAY + DAY),
        (Horizon(MONDAY + 1, 0, MONDAY + DAY - 1), MONDAY + 1, MONDAY + DAY - 1),
        (Horizon(MONDAY, 0), MONDAY, MONDAY + DAY),
    ):
        told = past.within(asked)
        assert (told.from_time, told.until_time) == (to_timestamp(since), to_timestamp(until))


def reaches(entry: policy.PastReservation, since: int, until: int | None) -> bool:
    known = [entry.start_time, *(each.start_time for each in entry.former_starts)]
    known += [entry.escalate_time] if entry.HasField("escalate_time") else []
    seconds = [each.ToMilliseconds() for each in known]
    assert moments(entry) == (min(seconds), max(seconds))
    return max(seconds) >= since and (until is None or min(seconds) < until)


@given(history=histories, more=st.lists(reservations(), max_size=4), since=times, until=st.none() | times)
def test_what_is_added_is_as_if_it_had_always_been_there(
    history: policy.History, more: list[policy.PastReservation], since: int, until: int | None
) -> None:
    past, wanted = Past(history), Horizon(since, since, until)
    for each in more:
        past.add(each)
    history.reservations.extend(more)
    told = past.within(wanted)
    assert by_id(told) == by_id(Past(history).within(wanted))


def by_id(history: policy.History) -> list[policy.PastReservation]:
    return sorted(history.reservations, key=lambda each: each.reservation_id)


def test_the_earliest_of_all_starts_counts_or_the_moment_of_the_question() -> None:
    window = policy.HistoryWindow(before_start_seconds=60, before_now_seconds=10, violations_before_now_seconds=5)
    subject = policy.Subject(start_time=to_timestamp(MONDAY), next_free_time=to_timestamp(MONDAY + DAY))
    assert list(starts_of(subject)) == [MONDAY, MONDAY + DAY]
    subject.former_start_time.CopyFrom(to_timestamp(MONDAY - 1))
    subject.former_starts.add(start_time=to_timestamp(MONDAY - 2))
    starts = list(starts_of(subject))
    assert horizon(window, starts, MONDAY) == Horizon(MONDAY - 2 - 60 * SECOND, MONDAY - 5 * SECOND)
    assert horizon(window, starts, MONDAY - DAY).reservations == MONDAY - DAY - 10 * SECOND


def test_what_is_to_come_is_bounded_by_the_latest_of_all_starts_or_the_moment_of_the_question() -> None:
    window = policy.HistoryWindow(after_start_seconds=60, after_now_seconds=10)
    assert horizon(window, [MONDAY, MONDAY - DAY], MONDAY - 2 * DAY).until == MONDAY + 60 * SECOND
    assert horizon(window, iter([MONDAY - DAY]), MONDAY).until == MONDAY + 10 * SECOND


def test_to_a_policy_that_does_not_know_a_bound_all_that_is_to_come_is_told() -> None:
    assert horizon(policy.HistoryWindow(before_start_seconds=60), [MONDAY], MONDAY).until is None
    assert horizon(policy.HistoryWindow(after_start_seconds=0), [MONDAY], MONDAY).until == MONDAY
