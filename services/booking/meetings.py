"""The meeting behind a reservation: which occurrence an interval means, who has it, and what is refused because of it.

Times are epoch milliseconds. Refusals carry a reason and its figures, so that clients can say them in any language.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import grpc
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.booking.models import HOLDS_MEETING
from services.platform.clock import from_timestamp, to_timestamp
from services.platform.data.database import ForEach
from services.platform.serving import errors
from services.platform.text.messages import message

GATEWAY: Final = "the meetings gateway"
CANCELLED, ENDED = "CANCELLED", "ENDED"


class OccurrenceKey(NamedTuple):
    """Which occurrence of which meeting. `sub_meeting_id` "" for a meeting that takes place once."""

    provider: str
    meeting_id: str
    sub_meeting_id: str


@dataclass(frozen=True, slots=True)
class SeenOccurrence:
    """One occurrence as its provider last showed it. Times are None when the provider tells none."""

    key: OccurrenceKey
    state: str
    start_time: int | None = None
    end_time: int | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """The live reservation of a meeting."""

    reservation_id: str
    account_id: str

    def name_to(self, caller: str) -> str:
        """Its id for whom it belongs to, else ""."""
        return self.reservation_id if caller == self.account_id else ""


_HOLDERS = ForEach(
    "SELECT provider, meeting_id, sub_meeting_id, reservation_id, account_id FROM reservation"  # noqa: S608 - made of constants
    f" WHERE {HOLDS_MEETING} AND ({{0}}) AND reservation_id <> :without",
    "meeting_id = :meeting{0} AND sub_meeting_id = :sub{0} AND provider = :provider{0}",
    " OR ",
    *("provider", "meeting", "sub"),
)


def read_holders(
    connection: Connection, keys: Collection[OccurrenceKey], without: str = ""
) -> dict[OccurrenceKey, Holder]:
    """Which of these meetings are reserved already, leaving out the reservation `without`."""
    rows = _HOLDERS.execute(connection, list(dict.fromkeys(keys)), without=without)
    return {OccurrenceKey(row[0], row[1], row[2]): Holder(row[3], row[4]) for row in rows}


def overlap(start: int, end: int, other_start: int, other_end: int) -> int:
    """How long two intervals overlap, in ms; 0 or less when they do not."""
    return min(end, other_end) - max(start, other_start)


def choose(found: meeting_pb2.Meeting, start: int, end: int) -> SeenOccurrence:
    """The occurrence that [start, end) overlaps most. Raises errors.RpcError when none can be reserved then."""
    state = state_of(found)
    if state == CANCELLED or (state == ENDED and not found.recurring):
        words = message("this meeting was cancelled or is over: make a new one")
        raise errors.invalid("meeting_code", words, reason="MEETING_OVER")
    takes_place = [each for each in found.occurrences if not each.cancelled]
    if not found.occurrences and not found.recurring:
        return SeenOccurrence(OccurrenceKey(found.provider, found.meeting_id, ""), state)
    best = max(takes_place, key=lambda each: _shared(each, start, end), default=None)
    if best is None or _shared(best, start, end) <= 0:
        raise elsewhere(takes_place, start)
    return _seen(found, best)


def belongs_to(found: meeting_pb2.Meeting, account_id: str) -> bool:
    """Its creator or a named host."""
    return account_id in (found.creator_account_id, *found.host_account_ids)


def see_again(found: meeting_pb2.Meeting, before: SeenOccurrence) -> SeenOccurrence:
    """The same occurrence as it is now; what the provider no longer tells stays as it was."""
    sub_meeting_id = before.key.sub_meeting_id
    same = next((each for each in found.occurrences if each.sub_meeting_id == sub_meeting_id), None)
    if same is None:
        return SeenOccurrence(before.key, state_of(found), before.start_time, before.end_time)
    return _seen(found, same)


def cancelled(before: SeenOccurrence) -> SeenOccurrence:
    return replace(before, state=CANCELLED)


def is_news(before: SeenOccurrence, after: SeenOccurrence) -> bool:
    """Whether people want to know; that somebody is inside, or no longer, is none."""
    final = (CANCELLED, ENDED)
    ended = before.state != after.state and (before.state in final or after.state in final)
    return ended or (before.start_time, before.end_time) != (after.start_time, after.end_time)


def state_of(found: meeting_pb2.Meeting) -> str:
    return state_name(found.state)


def state_name(state: int) -> str:
    """A state that only newer programs know is none that we can judge by."""
    known = state in meeting_pb2.MeetingState.values()
    name = meeting_pb2.MeetingState.Name(meeting_pb2.MeetingState.ValueType(state if known else 0))
    return name.removeprefix("MEETING_STATE_")


def to_proto(seen: SeenOccurrence, *, made_here: bool = False) -> pb.ReservedMeeting:
    return pb.ReservedMeeting(
        made_here=made_here,
        key=to_key(seen.key),
        state=meeting_pb2.MeetingState.Value(f"MEETING_STATE_{seen.state}"),
        start_time=None if seen.start_time is None else to_timestamp(seen.start_time),
        end_time=None if seen.end_time is None else to_timestamp(seen.end_time),
    )


def from_proto(meeting: pb.ReservedMeeting) -> SeenOccurrence:
    return SeenOccurrence(
        from_key(meeting.key),
        state_name(meeting.state),
        from_timestamp(meeting.start_time) if meeting.HasField("start_time") else None,
        from_timestamp(meeting.end_time) if meeting.HasField("end_time") else None,
    )


def to_key(key: OccurrenceKey) -> meeting_pb2.MeetingKey:
    return meeting_pb2.MeetingKey(**key._asdict())


def from_key(key: meeting_pb2.MeetingKey) -> OccurrenceKey:
    return OccurrenceKey(key.provider, key.meeting_id, key.sub_meeting_id)


def to_row(seen: SeenOccurrence | None) -> dict[str, Any]:
    """Columns of a reservation; those of no meeting for None."""
    key = seen.key if seen else OccurrenceKey("", "", "")
    return {
        **key._asdict(),
        "meeting_state": seen.state if seen else "",
        "meeting_start_time": seen.start_time if seen else None,
        "meeting_end_time": seen.end_time if seen else None,
    }


def not_found(meeting_code: str) -> errors.RpcError:
    """There is none that the provider shows us."""
    words = message(
        "no such meeting was found: check the number; meetings of a personal free account cannot be looked up"
    )
    return errors.invalid("meeting_code", words, reason="MEETING_NOT_FOUND", figures={"meeting_code": meeting_code})


def anothers(meeting_code: str) -> errors.RpcError:
    """There is one, of somebody who is not named."""
    words = message(
        "this meeting was made with another account: sign in here with the account that made "
        "it, be named as its host, or make it again with this account"
    )
    return errors.invalid("meeting_code", words, reason="MEETING_OF_ANOTHER", figures={"meeting_code": meeting_code})


def elsewhere(takes_place: Iterable[meeting_pb2.Occurrence], start: int) -> errors.RpcError:
    """Names the occurrence nearest to `start`."""
    nearest = min(takes_place, key=lambda each: abs(from_timestamp(each.start_time) - start), default=None)
    if nearest is None:
        over = message("this meeting takes place at no time to come: make a new one")
        return errors.invalid("start_time", over, reason="MEETING_OVER")
    first, last = nearest.start_time.ToJsonString(), nearest.end_time.ToJsonString()
    words = message(
        "the meeting takes place from {first} until {last}: reserve a time that overlaps it, or move the meeting",
        first=first,
        last=last,
    )
    return errors.invalid(
        "start_time", words, reason="MEETING_ELSEWHERE", figures={"start_time": first, "end_time": last}
    )


def twice() -> errors.RpcError:
    words = message("two of these fall on one occurrence of the meeting: make the meeting a recurring one")
    return errors.invalid("recurrence_rule", words, reason="MEETING_ALREADY_RESERVED")


def already_reserved(reservation_id: str) -> errors.RpcError:
    """`reservation_id` "": it is another's, who is not named."""
    words = (
        message(
            "this meeting is reserved already, by {reservation_id}: change or cancel that",
            reservation_id=reservation_id,
        )
        if reservation_id
        else message("this meeting is reserved already, by another account")
    )
    return errors.failure(
        grpc.StatusCode.ALREADY_EXISTS,
        "MEETING_ALREADY_RESERVED",
        words,
        figures={"reservation_id": reservation_id} if reservation_id else {},
    )


def _shared(occurrence: meeting_pb2.Occurrence, start: int, end: int) -> int:
    return overlap(start, end, from_timestamp(occurrence.start_time), from_timestamp(occurrence.end_time))


def _seen(found: meeting_pb2.Meeting, occurrence: meeting_pb2.Occurrence) -> SeenOccurrence:
    return SeenOccurrence(
        OccurrenceKey(found.provider, found.meeting_id, occurrence.sub_meeting_id),
        CANCELLED if occurrence.cancelled else state_of(found),
        from_timestamp(occurrence.start_time),
        from_timestamp(occurrence.end_time),
    )
