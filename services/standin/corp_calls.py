"""The stand-in's lists of all meetings of the enterprise: coming, running, ended. For the administrator alone."""

from collections.abc import Iterator
from itertools import groupby

from services.standin.cloud import Cloud, CloudMeeting, CloudVisit
from services.standin.request_checks import Refusal
from services.standin.wire import Body, Query, caller, operator, page_of

ENDED, RUNNING, COMING = "1", "2", "3"
LARGEST_PAGE = 50  # the original does not say


class CorpCalls:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def meetings(self, _: str, query: Query, _body: Body) -> Body:
        """The window goes by the planned start, but of what has ended by when the first came in. Seconds, both."""
        if caller(self.cloud, operator(query)) != self.cloud.admin:
            raise Refusal(500014, "NO PERMISSION", 403)
        lists = {ENDED: self._ended, RUNNING: self._running, COMING: self._coming}
        state = query.get("meeting_state", "")
        if state not in lists:
            raise Refusal(190004, "meeting_state must be 1, 2 or 3")
        unit = 1000 if state == ENDED else 1
        since, until = int(query.get("start_time") or 0), int(query.get("end_time") or 2**40)
        wanted = {name: query[name] for name in ("meeting_code", "userid") if query.get(name)}
        rows = [
            row
            for meeting in self.cloud.meetings.values()
            if meeting.enterprise
            for row in lists[state](meeting)
            if since * unit <= row["start_time"] <= until * unit
            and all(row[name] == value for name, value in wanted.items())
        ]
        rows.sort(key=lambda row: (row["start_time"], row["meeting_id"]), reverse=state == ENDED)
        shown, counted = page_of(rows, query, most=LARGEST_PAGE)
        return {**counted, "meeting_info_list": shown}

    def _coming(self, meeting: CloudMeeting) -> Iterator[Body]:
        running = {visit.sub_meeting_id for visit in meeting.inside()}
        for sub, start, end in _planned(meeting):
            if not meeting.cancelled and sub not in running and self.cloud.now() < end:
                yield self._row(meeting, sub, COMING, start, end)

    def _running(self, meeting: CloudMeeting) -> Iterator[Body]:
        for sub, start, end in _planned(meeting):
            inside = {visit.ms_open_id for visit in meeting.inside(sub)}
            if inside:
                yield self._row(meeting, sub, RUNNING, start, end) | {"online_member_num": len(inside)}

    def _ended(self, meeting: CloudMeeting) -> Iterator[Body]:
        """One for each time from when the first came in until all had gone. Milliseconds."""
        for sub, visits in media_rooms(meeting):
            if all(visit.left for visit in visits):
                start, end = min(visit.joined for visit in visits), max(visit.left for visit in visits)
                came = {visit.ms_open_id for visit in visits}
                row = self._row(meeting, sub, ENDED, start * 1000, end * 1000)
                yield row | {"participants_num": len(came)}

    def _row(self, meeting: CloudMeeting, sub: str, state: str, start: int, end: int) -> Body:
        known = self.cloud.known.get(meeting.creator)
        row: Body = {
            "meeting_id": meeting.meeting_id,
            "meeting_code": meeting.code,
            "subject": meeting.subject,
            "userid": meeting.creator,
            "userid_type": 1,
            "nick_name": (known and known.username) or meeting.creator,
            "start_time": start,
            "end_time": end,
            "meeting_state": int(state),
            "meeting_type": 1 if meeting.subs else meeting.kind,
        }
        return row | ({"sub_meeting_id": sub} if sub else {})


def _planned(meeting: CloudMeeting) -> list[tuple[str, int, int]]:
    subs = [(each.sub_meeting_id, each.start, each.end) for each in meeting.subs if not each.deleted]
    return subs if meeting.subs else [("", meeting.start, meeting.end)]


def media_rooms(meeting: CloudMeeting) -> Iterator[tuple[str, list[CloudVisit]]]:
    """The visits of each occurrence, apart where nobody was inside between them."""
    visits = sorted(meeting.visits, key=lambda visit: (visit.sub_meeting_id, visit.joined))
    for sub, of_sub in groupby(visits, key=lambda visit: visit.sub_meeting_id):
        room: list[CloudVisit] = []
        for visit in of_sub:
            if room and all(each.left and each.left <= visit.joined for each in room):
                yield sub, room
                room = []
            room.append(visit)
        yield sub, room
