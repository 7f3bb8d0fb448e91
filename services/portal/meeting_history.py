"""Who was in a meeting when, and how well people were connected: as pictures, and as the tables behind them.

Places in pictures are percent of their width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.platform.text.messages import message
from services.platform.text.times import show_time
from services.portal.calls import ask, services_of
from services.portal.tables import LONGEST_TOKEN
from services.portal.times import Reader, stamp_of

VISITS = 100
"""On one page."""
STEPS = tuple(timedelta(minutes=each) for each in (5, 10, 15, 30, 60, 120, 240, 480, 1440, 10080))
MOST_TICKS = 5
MOST_POINTS = 200
"""Of a line."""
MINUTE = timedelta(minutes=1)
GAP = timedelta(minutes=10)
"""Between two samples with none in between: nothing is drawn across it."""
LINES = (
    ("delay", message("Delay, milliseconds"), 300.0),
    ("upstream", message("Lost on the way from people, percent"), 5.0),
    ("downstream", message("Lost on the way to people, percent"), 5.0),
)
"""With how high a picture is at least, for what is good shall not look bad."""


@dataclass(frozen=True, slots=True)
class PictureTick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class StayBar:
    at: float
    width: float
    said: str


@dataclass(frozen=True, slots=True)
class StayLane:
    """One person."""

    name: str
    bars: Sequence[StayBar]


@dataclass(frozen=True, slots=True)
class StayPicture:
    lanes: Sequence[StayLane]
    ticks: Sequence[PictureTick]


@dataclass(frozen=True, slots=True)
class VisitList:
    """One page of visits; `complete`: no more will come to be known."""

    visits: Sequence[pb.Visit]
    complete: bool
    picture: StayPicture | None
    next_page_token: str = ""
    first_page: bool = True


@dataclass(slots=True)
class WorstOf:
    """What was worst in a stretch of time: of all people, or of one."""

    delay: float = 0
    upstream: float = 0
    downstream: float = 0
    bad: set[str] = field(default_factory=set)
    """Who was disturbed."""
    samples: int = 0

    def take(self, sample: pb.QualitySample) -> None:
        self.delay = max(self.delay, sample.delay_ms)
        self.upstream = max(self.upstream, sample.upstream_loss)
        self.downstream = max(self.downstream, sample.downstream_loss)
        self.samples += 1
        if sample.bad:
            self.bad.add(name_of(sample))


@dataclass(frozen=True, slots=True)
class LineSegment:
    from_x: float
    from_y: float
    to_x: float
    to_y: float


@dataclass(frozen=True, slots=True)
class QualityLine:
    """`most` is the highest value; places are percent from the left and from the top."""

    name: str
    label: str
    most: float
    segments: Sequence[LineSegment]


@dataclass(frozen=True, slots=True)
class QualityPicture:
    """`bad` are the stretches in which somebody was disturbed: from the left, and how wide."""

    lines: Sequence[QualityLine]
    bad: Sequence[tuple[float, float]]
    ticks: Sequence[PictureTick]


@dataclass(frozen=True, slots=True)
class QualityOfMeeting:
    people: Sequence[tuple[str, WorstOf]]
    minutes: Sequence[tuple[Timestamp, WorstOf]]
    """Those in which somebody was disturbed."""
    picture: QualityPicture | None
    sampled: int
    accounts: Sequence[tuple[str, str]]
    """Id and name of those whose lines can be looked at."""
    account: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """Times on a picture, in UTC."""

    start: datetime
    end: datetime

    def at(self, moment: datetime) -> float:
        share = (moment - self.start) / (self.end - self.start)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self, reader: Reader) -> list[PictureTick]:
        """At full hours of the reader's, or full parts of them."""
        length = self.end - self.start
        step = next((each for each in STEPS if length / each <= MOST_TICKS), STEPS[-1])
        midnight = self.start.astimezone(reader.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        first = midnight + (self.start - midnight) // step * step
        if first < self.start:
            first += step
        found: list[PictureTick] = []
        while first <= self.end and len(found) < 2 * MOST_TICKS:
            shown = show_time(first.astimezone(reader.zone))
            found.append(PictureTick(self.at(first.astimezone(UTC)), shown))
            first += step
        return found


def name_of(each: pb.Visit | pb.QualitySample) -> str:
    return each.display_name or each.account_id or "–"


def moment_of(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


async def visits(request: Request, key: MeetingKey, reader: Reader) -> VisitList:
    """Raises grpc.aio.AioRpcError, as below."""
    token = request.query_params.get("page", "")[:LONGEST_TOKEN]
    question = api.ListVisitsRequest(meeting=key, page_size=VISITS, page_token=token)
    answer = await ask(request, services_of(request).meetings.ListVisits, question)
    picture = draw_stays(answer.visits, reader)
    return VisitList(list(answer.visits), answer.complete, picture, answer.next_page_token, not token)


def draw_stays(listed: Sequence[pb.Visit], reader: Reader) -> StayPicture | None:
    """None of nobody. Who has not left is in until now."""
    if not listed:
        return None
    spans = [(moment_of(each.enter_time), _left(each, reader)) for each in listed]
    start = min(first for first, _ in spans)
    axis = Axis(start, max(*(last for _, last in spans), start + MINUTE))
    lanes: dict[tuple[str, str], list[StayBar]] = {}
    names: dict[tuple[str, str], str] = {}
    for each, (first, last) in zip(listed, spans, strict=True):
        person = (each.account_id, "" if each.account_id else each.display_name)
        said = reader.bare_interval(stamp_of(first), stamp_of(last))
        width = max(axis.at(last) - axis.at(first), 0.4)
        lanes.setdefault(person, []).append(StayBar(axis.at(first), round(width, 2), said))
        names.setdefault(person, name_of(each))
    return StayPicture([StayLane(names[each], bars) for each, bars in lanes.items()], axis.ticks(reader))


def _left(each: pb.Visit, reader: Reader) -> datetime:
    last = moment_of(each.leave_time) if each.HasField("leave_time") else reader.now
    return max(last, moment_of(each.enter_time))


async def quality(request: Request, key: MeetingKey, reader: Reader) -> QualityOfMeeting:
    """Of all, or of the account of the address."""
    account = request.query_params.get("of", "")[:200]
    question = api.GetQualityRequest(meeting=key)
    answer = await ask(request, services_of(request).meetings.GetQuality, question)
    return summarize(answer.samples, account, reader)


def summarize(samples: Iterable[pb.QualitySample], account: str, reader: Reader) -> QualityOfMeeting:
    """From samples in the order of their time."""
    every = list(samples)
    accounts = {each.account_id: name_of(each) for each in every if each.account_id}
    account = account if account in accounts else ""
    mine = [each for each in every if not account or each.account_id == account]
    people: dict[str, WorstOf] = {}
    minutes: dict[datetime, WorstOf] = {}
    for each in mine:
        people.setdefault(name_of(each), WorstOf()).take(each)
        moment = moment_of(each.sample_time).replace(second=0, microsecond=0)
        minutes.setdefault(moment, WorstOf()).take(each)
    bad = [(stamp_of(at), each) for at, each in minutes.items() if each.bad]
    ranked = sorted(people.items(), key=lambda each: (-len(each[1].bad), -each[1].delay))
    picture = draw_quality(minutes, reader) if minutes else None
    return QualityOfMeeting(
        ranked, bad, picture, len(mine), sorted(accounts.items(), key=lambda each: each[1]), account
    )


def draw_quality(minutes: dict[datetime, WorstOf], reader: Reader) -> QualityPicture:
    start, end = min(minutes), max(minutes) + MINUTE
    axis, step = Axis(start, end), max(MINUTE, (end - start) / MOST_POINTS)
    points: dict[datetime, WorstOf] = {}
    for at, each in minutes.items():
        point = points.setdefault(start + (at - start) // step * step, WorstOf())
        point.delay, point.upstream = max(point.delay, each.delay), max(point.upstream, each.upstream)
        point.downstream = max(point.downstream, each.downstream)
        point.bad |= each.bad
    width = round(100 * (step / (end - start)), 2)
    lines = [_line(name, label.to(reader.language), least, points, axis, step) for name, label, least in LINES]
    bad = [(axis.at(at), width) for at, each in points.items() if each.bad]
    return QualityPicture(lines, bad, axis.ticks(reader))


def _line(
    name: str, label: str, least: float, points: dict[datetime, WorstOf], axis: Axis, step: timedelta
) -> QualityLine:
    values = {at: float(getattr(each, name)) for at, each in points.items()}
    most = max(values.values())
    height = {at: round(95 - 90 * value / max(most, least), 2) for at, value in values.items()}
    ordered = sorted(values)
    segments = [
        LineSegment(axis.at(one), height[one], axis.at(other), height[other])
        for one, other in pairwise(ordered)
        if other - one <= max(GAP, 2 * step)
    ]
    last = ordered[-1]
    segments.append(LineSegment(axis.at(last), height[last], axis.at(last + step), height[last]))
    return QualityLine(name, label, most, segments)
