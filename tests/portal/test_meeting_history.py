"""Who was in when, and how well: where it stands in the pictures."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.meetings.v1 import listed_meeting_pb2 as pb

from services.portal.meeting_history import MOST_POINTS, MOST_TICKS, Axis, draw_stays, summarize
from services.portal.times import Reader, stamp_of

START = datetime(2025, 7, 7, 1, 58, tzinfo=UTC)
READER = Reader("en", ZoneInfo("Asia/Shanghai"), START + timedelta(hours=2))


def at(minutes: float) -> Timestamp:
    return stamp_of(START + timedelta(minutes=minutes))


def visit(account: str, first: float, last: float | None, name: str = "") -> pb.Visit:
    leave = None if last is None else at(last)
    return pb.Visit(account_id=account, display_name=name or account, enter_time=at(first), leave_time=leave)


def sample(account: str, minutes: float, delay: float, *, bad: bool = False) -> pb.QualitySample:
    return pb.QualitySample(
        account_id=account, display_name=account, sample_time=at(minutes), delay_ms=delay, upstream_loss=1, bad=bad
    )


def test_a_person_has_one_lane_with_a_bar_for_each_visit() -> None:
    """In the order in which people first came; guests are told apart by their names."""
    picture = draw_stays(
        [visit("ann", 0, 30), visit("", 10, 20, "Guest"), visit("ann", 50, 100), visit("", 60, 70, "Other")], READER
    )
    assert picture
    assert [lane.name for lane in picture.lanes] == ["ann", "Guest", "Other"]
    assert [(bar.at, bar.width) for bar in picture.lanes[0].bars] == [(0, 30), (50, 50)]
    assert [(bar.at, bar.width) for bar in picture.lanes[1].bars] == [(10, 10)]


def test_who_is_still_inside_is_in_until_now() -> None:
    picture = draw_stays([visit("ann", 0, None), visit("bob", 60, 60)], READER)
    assert picture
    assert [(bar.at, bar.width) for lane in picture.lanes for bar in lane.bars] == [(0, 100), (50, 0.4)]


def test_nobody_has_no_picture_and_a_moment_has_one() -> None:
    assert draw_stays([], READER) is None
    picture = draw_stays([visit("ann", 0, 0)], READER)
    assert picture
    assert picture.lanes[0].bars[0].at == 0


@pytest.mark.parametrize("minutes", [1, 7, 25, 61, 300, 60 * 26, 60 * 24 * 40])
def test_a_picture_has_a_few_full_times(minutes: int) -> None:
    axis = Axis(START, START + timedelta(minutes=minutes))
    ticks = axis.ticks(READER)
    assert len(ticks) <= MOST_TICKS + 1
    assert all(0 <= each.at <= 100 for each in ticks)
    assert all(one.at < other.at for one, other in pairwise(ticks))
    assert all(int(each.label[-2:]) % 5 == 0 for each in ticks)


def test_the_first_full_time_is_the_readers() -> None:
    """09:58 in Beijing."""
    ticks = Axis(START, START + timedelta(minutes=60)).ticks(READER)
    assert [each.label for each in ticks] == ["10:00", "10:15", "10:30", "10:45"]
    assert ticks[0].at == pytest.approx(3.33)


def test_the_worst_of_a_minute_is_drawn_and_the_bad_ones_are_marked() -> None:
    seen = summarize(
        [sample("ann", 0, 20), sample("bob", 0, 200), sample("ann", 1, 400, bad=True), sample("bob", 2, 100)],
        "",
        READER,
    )
    assert [(name, each.delay, len(each.bad)) for name, each in seen.people] == [("ann", 400, 1), ("bob", 200, 0)]
    assert [(stamp, each.bad) for stamp, each in seen.minutes] == [(at(1), {"ann"})]
    assert seen.picture
    assert seen.picture.bad == [(33.33, 33.33)]
    delay = seen.picture.lines[0]
    assert (delay.most, [each.from_y for each in delay.segments]) == (400, [50, 5, 72.5])
    assert seen.sampled == 4


def test_one_person_is_looked_at_alone() -> None:
    """Whom nobody knows is nobody: then it is all of them."""
    samples = [sample("ann", 0, 20), sample("bob", 0, 200)]
    assert summarize(samples, "ann", READER).sampled == 1
    assert summarize(samples, "eve", READER).sampled == 2
    assert summarize(samples, "ann", READER).accounts == [("ann", "ann"), ("bob", "bob")]


def test_nothing_is_drawn_across_a_gap() -> None:
    seen = summarize([sample("ann", 0, 20), sample("ann", 10, 20), sample("ann", 21, 20)], "", READER)
    assert seen.picture
    assert len(seen.picture.lines[0].segments) == 2


def test_a_long_meeting_has_no_more_points_than_can_be_seen() -> None:
    seen = summarize([sample("ann", minute, 20) for minute in range(1000)], "", READER)
    assert seen.picture
    assert len(seen.picture.lines[0].segments) <= MOST_POINTS + 1


def test_nothing_sampled_has_no_picture() -> None:
    assert summarize([], "", READER).picture is None
