"""The stand-in's calls about the people of a meeting: who came, who is inside, who waits, and how well it works."""

from services.standin.cloud import Cloud, CloudMeeting, CloudVisit, CloudWaiting
from services.standin.request_checks import Refusal
from services.standin.wire import (
    Body,
    Query,
    caller,
    encoded,
    meeting_of,
    name_of,
    not_permitted,
    of_occurrence,
    operator,
    own,
    page_of,
    person,
    schedule,
)

MONTH = 31 * 86400
INVITEE_PAGE, MOST_INVITEES = 200, 2000


class PeopleCalls:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def participants(self, meeting_id: str, query: Query, _body: Body) -> Body:
        meeting = own(self.cloud, meeting_id, query.get("userid") or operator(query))
        visits = self._in_window(of_occurrence(meeting, query, meeting.visits), query)
        position, size = int(query.get("pos") or 0), int(query.get("size") or 20)
        if not 1 <= size <= 100:
            raise Refusal(190004, "size must be at most 100")
        end = position + size
        return schedule(meeting) | {
            "subject": meeting.subject,
            "total_count": len(visits),
            "has_remaining": end < len(visits),
            "next_pos": end if end < len(visits) else 0,
            "participants": [person(meeting, each) for each in visits[position:end]],
        }

    def inside(self, meeting_id: str, query: Query, _body: Body) -> Body:
        """For the administrator, creator, hosts and co-hosts."""
        who, meeting = caller(self.cloud, operator(query)), meeting_of(self.cloud, meeting_id)
        if who != self.cloud.admin and not meeting.is_host(who) and meeting.person_id(who) not in meeting.cohosts:
            raise not_permitted()
        visits = of_occurrence(meeting, query, meeting.inside())
        shown, counted = page_of(visits, query, most=50)
        return {
            **schedule(meeting),
            "subject": encoded(meeting.subject),
            "status": self.cloud.status(meeting),
            **counted,
            "participants": [person(meeting, each) for each in shown],
        }

    def waiting(self, meeting_id: str, query: Query, _body: Body) -> Body:
        """For its creator alone; nobody while it does not run."""
        meeting = self._creators(meeting_id, query)
        shown, counted = page_of(meeting.waiting if meeting.inside() else [], query, most=50, size=10)
        planned = {"schedule_start_time": meeting.start, "schedule_end_time": meeting.end}
        return {
            **schedule(meeting),
            **planned,
            "subject": encoded(meeting.subject),
            **counted,
            "participants": [_waiting(each) for each in shown],
        }

    def quality(self, meeting_id: str, query: Query, _body: Body) -> Body:
        """While it runs, for the administrator: all figures are text."""
        who, meeting = caller(self.cloud, operator(query)), meeting_of(self.cloud, meeting_id)
        if who != self.cloud.admin:
            raise not_permitted()
        if not meeting.inside():
            raise Refusal(190004, "the meeting does not run")
        people: dict[str, list[CloudVisit]] = {}
        for visit in meeting.inside():
            people.setdefault(visit.ms_open_id, []).append(visit)
        shown, counted = page_of(list(people.values()), query, least=20, most=100, size=20)
        return {**counted, "participants": [_quality(each) for each in shown]}

    def person_id(self, meeting_id: str, query: Query, _body: Body) -> Body:
        who, meeting = caller(self.cloud, operator(query)), meeting_of(self.cloud, meeting_id)
        return {"meeting_id": meeting_id, "ms_open_id": meeting.person_id(who)}

    def invitees(self, meeting_id: str, query: Query, _body: Body) -> Body:
        meeting = self._creators(meeting_id, query)
        if not query.get("instanceid"):
            raise Refusal(190004, "instanceid is required")
        position = int(query.get("pos") or 0)
        end = position + INVITEE_PAGE
        more = end < len(meeting.invitees)
        return {
            "invitees": [{"userid": each, "nick_name": each} for each in meeting.invitees[position:end]],
            "has_remaining": more,
            **({"next_pos": end} if more else {}),
        }

    def invite(self, meeting_id: str, _query: Query, body: Body) -> Body:
        """In place of all who were invited."""
        meeting = self._creators(meeting_id, body)
        wanted = [str(each["userid"]) for each in body.get("invitees") or []]
        if "instanceid" not in body or len(wanted) > MOST_INVITEES:
            raise Refusal(190004, f"instanceid is required, and at most {MOST_INVITEES} invitees")
        meeting.invitees = [each for each in wanted if each in self.cloud.users]
        return {"user_non_registered": [each for each in wanted if each not in self.cloud.users]}

    def _in_window(self, visits: list[CloudVisit], query: Query) -> list[CloudVisit]:
        if "start_time" not in query and "end_time" not in query:
            return visits
        end = int(query.get("end_time") or self.cloud.now())
        start = int(query.get("start_time") or end - MONTH)
        if end - start > MONTH:
            raise Refusal(190004, "at most 31 days")
        return [each for each in visits if start <= each.joined <= end]

    def _creators(self, meeting_id: str, given: Query | Body) -> CloudMeeting:
        who, meeting = caller(self.cloud, str(given.get("userid", ""))), meeting_of(self.cloud, meeting_id)
        if who != meeting.creator:
            raise not_permitted()
        return meeting


def _waiting(each: CloudWaiting) -> Body:
    return {
        "userid": each.userid,
        "ms_open_id": each.ms_open_id,
        "user_name": name_of(each),
        "instanceid": each.instanceid,
        "app_version": "3.30.1",
    }


def _quality(visits: list[CloudVisit]) -> Body:
    audio = {"mic_volume": "0", "loudspeaker_volume": "50", "upstream_bitrate": "40", "downstream_bitrate": "40"}
    details = [{"instanceid": each.instanceid, "network": each.network, "audio": audio} for each in visits]
    return {"ms_open_id": visits[0].ms_open_id, "nick_name": visits[0].name, "qos_details": details}
