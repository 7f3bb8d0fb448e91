"""The vendor's own library steers meetings of the stand-in, unmodified, by every verb that it has."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wemeet_openapi.core.exception import ServiceException
from wemeet_openapi.service.meeting_control import api as control_api
from wemeet_openapi.service.meeting_control import model as control
from wemeet_openapi.service.meetings import api, model
from wemeet_openapi.service.user_manager import api as user_api

from services.standin.cloud import CloudMeeting, CloudVisit, CloudWaiting
from services.standin.request_checks import RequestChecker
from services.standin.server import Standin
from tests.standin.test_vendors_library import KNOWN, client, signed

NOW = int(time.time())
HOUR = 3600
ANDROID, CONNECTOR, ROOMS = 3, 9, 20


@pytest.fixture
def standin() -> Iterator[Standin]:
    made = Standin()
    made.cloud.users |= {"li", "wang", "zhao", "qian"}
    made.start()
    yield made
    made.stop()


@pytest.fixture
def vendor(standin: Standin) -> Any:
    return client(standin, KNOWN)


@pytest.fixture
def meeting(standin: Standin) -> CloudMeeting:
    """li's, who is inside, and so is wang; zhao waits."""
    made = standin.cloud.create("li", NOW - 60, NOW + HOUR)
    standin.cloud.enter(made, "li")
    wang = standin.cloud.enter(made, "wang", instanceid=ANDROID)
    wang.microphone = wang.camera = wang.sharing = True
    standin.cloud.wait(made, "zhao", instanceid=4)
    return made


VERBS: dict[str, tuple[str, dict[str, Any]]] = {
    "status": ("Status", {"meeting_locked": True}),
    "mutes": ("Mutes", {"mute": True}),
    "kickout": ("Kickout", {"allow_rejoin": False}),
    "cohosts": ("Cohosts", {"action": True}),
    "waiting_room": ("WaitingRoom", {"operate_type": 2}),
    "video": ("Video", {"video": False}),
    "screen_shared": ("ScreenShared", {}),
    "names": ("Names", {}),
    "doc": ("Doc", {"enable_upload_doc": True}),
    "asr": ("Asr", {"is_open": True}),
}
OF_ONE = ("mutes", "cohosts", "video", "screen_shared")
OF_SEVERAL = ("kickout", "waiting_room")
DIRECT = (*OF_ONE, *OF_SEVERAL, "names")


def whom(person: CloudVisit | CloudWaiting, instanceid: int = 0) -> dict[str, Any]:
    device = instanceid or person.instanceid
    return {"to_operator_id": person.ms_open_id, "to_operator_id_type": 4, "instanceid": device}


def body_of(verb: str, person: CloudVisit | CloudWaiting | None = None, device: int = 0, **more: Any) -> dict[str, Any]:
    """As the library takes it."""
    body: dict[str, Any] = {"operator_id": "li", "operator_id_type": 1, "instanceid": 1, **VERBS[verb][1]}
    if verb == "asr":
        body["instance_id"] = body.pop("instanceid")
    if person and verb in OF_ONE:
        body["user"] = whom(person, device)
    if person and verb in OF_SEVERAL:
        body["users"] = [whom(person, device)]
    if person and verb == "names":
        named = {"ms_open_id": person.ms_open_id, "instanceid": device or person.instanceid, "nick_name": "新名字"}
        body["users"] = [named]
    return body | more


def steer(vendor: Any, meeting: CloudMeeting, verb: str, body: dict[str, Any]) -> None:
    name = f"V1RealControlMeetingsMeetingId{VERBS[verb][0]}PutRequest"
    made = getattr(control, name)(**body)
    request = getattr(control_api, f"Api{name}")(meeting.meeting_id, body=made)
    call = getattr(vendor.meeting_control_api, f"v1_real_control_meetings_meeting_id_{verb}_put")
    call(request=request, authenticator_options=signed())


def refused(call: Callable[..., Any], *given: Any, **named: Any) -> int:
    with pytest.raises(ServiceException) as caught:
        call(*given, **named)
    return int(json.loads(caught.value.api_resp.raw_body)["error_info"]["error_code"])


def test_the_library_has_no_other_verb_of_control(vendor: Any) -> None:
    """Of the whole of its class."""
    named = {each for each in dir(vendor.meeting_control_api) if each.startswith("v1_real_control")}
    assert named == {f"v1_real_control_meetings_meeting_id_{verb}_put" for verb in VERBS}


def test_it_steers_people(vendor: Any, meeting: CloudMeeting) -> None:
    wang = meeting.visits[1]
    for verb in ("mutes", "video", "screen_shared", "cohosts", "names"):
        steer(vendor, meeting, verb, body_of(verb, wang))
    assert (wang.microphone, wang.camera, wang.sharing, wang.name) == (False, False, False, "新名字")
    assert wang.ms_open_id in meeting.cohosts
    steer(vendor, meeting, "kickout", body_of("kickout", wang))
    assert (bool(wang.left), meeting.banned) == (True, {wang.ms_open_id})


def test_it_steers_the_waiting_room(vendor: Any, meeting: CloudMeeting) -> None:
    [zhao] = meeting.waiting
    steer(vendor, meeting, "waiting_room", body_of("waiting_room", zhao, operate_type=1))
    [inside] = [each for each in meeting.inside() if each.userid == "zhao"]
    steer(vendor, meeting, "waiting_room", body_of("waiting_room", inside, operate_type=2))
    assert [each.userid for each in meeting.waiting] == ["zhao"]
    steer(vendor, meeting, "waiting_room", body_of("waiting_room", inside, operate_type=3, allow_rejoin=False))
    assert (meeting.waiting, meeting.banned) == ([], {inside.ms_open_id})


def test_it_steers_the_meeting(vendor: Any, meeting: CloudMeeting) -> None:
    wanted: dict[str, Any] = {
        "mute_all": True,
        "allow_unmute_by_self": False,
        "participant_join_mute": 2,
        "meeting_locked": True,
        "auto_waiting_room": True,
        "hide_meeting_code_password": True,
        "only_enterprise_user_allowed": True,
        "share_screen": False,
        "allow_chat": 2,
        "enable_red_envelope": False,
        "play_ivr_on_join": True,
    }
    steer(vendor, meeting, "status", body_of("status", **wanted))
    assert meeting.settings == wanted
    assert (meeting.visits[1].microphone, meeting.visits[1].sharing) == (False, False)
    steer(vendor, meeting, "doc", body_of("doc"))
    steer(vendor, meeting, "asr", body_of("asr"))
    assert meeting.settings == wanted | {"enable_upload_doc": True, "asr": True}


def test_it_acts_by_the_id_in_the_meeting_as_well(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    """Which is told before anybody is inside. Not for captions, which are the creator's."""
    request = user_api.ApiV1MeetingsMeetingIdMsOpenIdGetRequest(meeting.meeting_id, "li", "1")
    told = vendor.user_manager_api.v1_meetings_meeting_id_ms_open_id_get(
        request=request, authenticator_options=signed()
    ).data
    assert told.ms_open_id == meeting.visits[0].ms_open_id == meeting.person_id("li")
    for verb in ("status", "mutes"):
        steer(
            vendor,
            meeting,
            verb,
            body_of(verb, meeting.visits[1], operator_id=told.ms_open_id, operator_id_type=4),
        )
    assert meeting.settings == {"meeting_locked": True}
    by_person: dict[str, Any] = {"operator_id": told.ms_open_id, "operator_id_type": 4}
    assert refused(steer, vendor, meeting, "asr", body_of("asr", **by_person)) == 190004


@pytest.mark.parametrize("verb", VERBS)
def test_others_may_not_steer(standin: Standin, vendor: Any, meeting: CloudMeeting, verb: str) -> None:
    """Nor the administrator, as documented; nor an id that is nobody's; strangers are unknown."""
    wang = meeting.visits[1]
    for other in ("admin", "wang"):
        assert refused(steer, vendor, meeting, verb, body_of(verb, wang, operator_id=other)) == 9042
    assert refused(steer, vendor, meeting, verb, body_of(verb, wang, operator_id="nobody")) == 190001
    if verb != "asr":
        odd = body_of(verb, wang, operator_id="0" * 32, operator_id_type=4)
        assert refused(steer, vendor, meeting, verb, odd) == 9042
    assert (wang.microphone, wang.left, meeting.settings) == (True, 0, {})


def test_hosts_and_co_hosts_may_but_a_co_host_makes_no_other(vendor: Any, meeting: CloudMeeting) -> None:
    wang = meeting.visits[1]
    meeting.cohosts.add(wang.ms_open_id)
    steer(vendor, meeting, "status", body_of("status", operator_id="wang"))
    assert refused(steer, vendor, meeting, "cohosts", body_of("cohosts", wang, operator_id="wang")) == 9042
    meeting.hosts = ["qian"]
    steer(vendor, meeting, "cohosts", body_of("cohosts", wang, operator_id="qian", action=False))
    assert meeting.cohosts == set()


def test_names_are_changed_from_inside(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    wang = meeting.visits[1]
    for odd in ("", "x" * 21):
        named = [{"ms_open_id": wang.ms_open_id, "instanceid": ANDROID, "nick_name": odd}]
        assert refused(steer, vendor, meeting, "names", body_of("names", users=named)) == 190004
    standin.cloud.leave(meeting, meeting.visits[0])
    assert refused(steer, vendor, meeting, "names", body_of("names", wang)) == 9042


@pytest.mark.parametrize("verb", DIRECT)
def test_at_another_device_nothing_happens_and_nobody_is_refused(vendor: Any, meeting: CloudMeeting, verb: str) -> None:
    """Of somebody who is not inside it says so."""
    wang, device = meeting.visits[1], 2
    steer(vendor, meeting, verb, body_of(verb, wang, device))
    assert (wang.microphone, wang.camera, wang.sharing, wang.left, wang.name) == (True, True, True, 0, "wang")
    assert meeting.cohosts == set()
    wang.left = NOW
    assert refused(steer, vendor, meeting, verb, body_of(verb, wang)) == 190004


def test_each_device_has_its_own_rules(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    """Those of meeting rooms do not wait; of connectors alone the camera is turned on, and a reason is needed."""
    room = standin.cloud.enter(meeting, "", "401", instanceid=ROOMS)
    connector = standin.cloud.enter(meeting, "", "H.323", instanceid=CONNECTOR)
    wang = meeting.visits[1]
    assert refused(steer, vendor, meeting, "waiting_room", body_of("waiting_room", room)) == 9103
    assert refused(steer, vendor, meeting, "video", body_of("video", wang, video=True)) == 9104
    steer(vendor, meeting, "video", body_of("video", connector, video=True))
    assert connector.camera
    assert refused(steer, vendor, meeting, "cohosts", body_of("cohosts", connector)) == 190004
    assert refused(steer, vendor, meeting, "kickout", body_of("kickout", connector)) == 190004
    steer(vendor, meeting, "kickout", body_of("kickout", connector, reason="over"))
    assert connector.left


WRONG: list[tuple[str, dict[str, Any]]] = [
    *((verb, {"operator_id_type": kind}) for verb in ("status", "mutes") for kind in (2, 5, None)),
    *((verb, {"operator_id": None}) for verb in ("status", "kickout", "names")),
    ("status", {"instanceid": None}),
    ("status", {"participant_join_mute": 3}),
    ("status", {"allow_chat": True}),
    ("status", {"mute_all": 1}),
    ("mutes", {"mute": None}),
    ("mutes", {"user": {"to_operator_id": "m", "to_operator_id_type": 1, "instanceid": 1}}),
    ("mutes", {"user": {"to_operator_id": "m", "to_operator_id_type": 4, "instanceid": "1"}}),
    ("kickout", {"allow_rejoin": None}),
    ("kickout", {"users": []}),
    ("cohosts", {"action": None}),
    ("waiting_room", {"operate_type": 4}),
    ("waiting_room", {"operate_type": 2, "allow_rejoin": True}),
]


@pytest.mark.parametrize(("verb", "change"), WRONG)
def test_what_must_be_said_is_asked_for(vendor: Any, meeting: CloudMeeting, verb: str, change: dict[str, Any]) -> None:
    body = body_of(verb, meeting.visits[1]) | change
    assert refused(steer, vendor, meeting, verb, body) == 190004


@pytest.mark.parametrize("verb", VERBS)
def test_what_does_not_run_cannot_be_steered(standin: Standin, vendor: Any, meeting: CloudMeeting, verb: str) -> None:
    """It has no number that says that it has not begun."""
    wang = meeting.visits[1]
    coming = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    over = standin.cloud.create("li", NOW - 2 * HOUR, NOW - HOUR)
    assert refused(steer, vendor, coming, verb, body_of(verb, wang)) == 190004
    assert refused(steer, vendor, over, verb, body_of(verb, wang)) == 13603


def dismiss(vendor: Any, meeting: CloudMeeting, **more: Any) -> None:
    given = {"instanceid": 1, "operator_id": "li", "operator_id_type": 1, "reason_code": 1, **more}
    body = control.V1MeetingsMeetingIdDismissPostRequest(**given)
    request = control_api.ApiV1MeetingsMeetingIdDismissPostRequest(meeting.meeting_id, body=body)
    vendor.meeting_control_api.v1_meetings_meeting_id_dismiss_post(request=request, authenticator_options=signed())


def test_it_ends_a_meeting_for_its_creator_alone(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    """Whoever waited waits no longer."""
    assert refused(dismiss, vendor, meeting, operator_id="admin") == 9042
    assert refused(dismiss, vendor, meeting, force_dismiss_meeting=0) == 190004
    dismiss(vendor, meeting)
    assert (meeting.inside(), meeting.waiting) == ([], [])
    meeting.end = NOW - 1
    assert refused(dismiss, vendor, meeting) == 13603


def inside(vendor: Any, meeting: CloudMeeting, who: str = "admin", size: str = "50", page: str = "1") -> Any:
    request = api.ApiV1MeetingsMeetingIdRealTimeParticipantsGetRequest(meeting.meeting_id, who, "1", page, size)
    return vendor.meetings_api.v1_meetings_meeting_id_real_time_participants_get(
        request=request, authenticator_options=signed()
    ).data


def test_it_sees_who_is_inside(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    """Times as text, names in base64; for the administrator, creator, hosts and co-hosts, 50 a page."""
    standin.cloud.enter(meeting, "", "客")
    meeting.cohosts.add(meeting.visits[1].ms_open_id)
    host, wang, guest = inside(vendor, meeting).participants
    assert (host.user_role, wang.user_role, guest.user_role) == (3, 6, 4)
    assert (wang.audio_state, wang.video_state, wang.screen_shared_state) == (True, True, True)
    assert (wang.instanceid, wang.join_time) == (ANDROID, str(meeting.visits[1].joined))
    assert base64.b64decode(guest.user_name).decode() == "客"
    assert len(inside(vendor, meeting, "wang").participants) == 3
    assert refused(inside, vendor, meeting, "qian") == 9042
    for size, page in (("51", "1"), ("0", "1"), ("50", "0")):
        assert refused(inside, vendor, meeting, "admin", size, page) == 190004


def waiting(vendor: Any, meeting: CloudMeeting, who: str = "li", **more: str) -> Any:
    request = api.ApiV1MeetingsMeetingIdWaitingRoomParticipantsGetRequest(meeting.meeting_id, who, **more)
    return vendor.meetings_api.v1_meetings_meeting_id_waiting_room_participants_get(
        request=request, authenticator_options=signed()
    ).data


def test_it_sees_who_waits(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    """Ten a page if nothing is said; the creator alone; nobody while it does not run."""
    for number in range(10):
        standin.cloud.wait(meeting, "", name=f"客{number}")
    found = waiting(vendor, meeting)
    assert (found.total_count, found.total_page, len(found.participants)) == (11, 2, 10)
    assert base64.b64decode(found.participants[1].user_name).decode() == "客0"
    assert (found.participants[0].userid, found.participants[0].instanceid) == ("zhao", 4)
    assert base64.b64decode(found.subject).decode() == meeting.subject
    assert len(waiting(vendor, meeting, page="2", page_size="10").participants) == 1
    assert refused(waiting, vendor, meeting, "admin") == 9042
    assert refused(waiting, vendor, meeting, page_size="51", page="1") == 190004
    for visit in meeting.inside():
        standin.cloud.leave(meeting, visit)
    assert waiting(vendor, meeting).total_count == 0


def quality(vendor: Any, meeting: CloudMeeting, who: str = "admin", size: str = "20") -> Any:
    request = api.ApiV1MeetingsMeetingIdQosGetRequest(meeting.meeting_id, who, "1", size, "1")
    return vendor.meetings_api.v1_meetings_meeting_id_qos_get(request=request, authenticator_options=signed()).data


def test_it_sees_how_well_people_are_connected(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    """As text; 20 to 100 a page; while it runs; for the administrator; thirty times a minute."""
    meeting.visits[1].network["network_delay"] = "310"
    _, wang = quality(vendor, meeting).participants
    assert (wang.nick_name, wang.qos_details[0].instanceid) == ("wang", ANDROID)
    assert wang.qos_details[0].network.network_delay == "310"
    for size in ("19", "101"):
        assert refused(quality, vendor, meeting, size=size) == 190004
    assert refused(quality, vendor, meeting, "li") == 9042
    coming = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    assert refused(quality, vendor, coming) == 190004
    standin.checker = RequestChecker()
    for _ in range(30):
        quality(vendor, meeting)
    assert refused(quality, vendor, meeting) == 500046
    assert refused(quality, vendor, coming) == 190004


def invitees(vendor: Any, meeting: CloudMeeting, who: str = "li", pos: str = "0") -> Any:
    request = api.ApiV1MeetingsMeetingIdInviteesGetRequest(meeting.meeting_id, who, "1", pos)
    return vendor.meetings_api.v1_meetings_meeting_id_invitees_get(request=request, authenticator_options=signed()).data


def invite(vendor: Any, meeting: CloudMeeting, users: list[str], who: str = "li") -> Any:
    body = model.V1MeetingsMeetingIdInviteesPutRequest(
        userid=who, instanceid=1, invitees=[{"userid": each} for each in users]
    )
    request = api.ApiV1MeetingsMeetingIdInviteesPutRequest(meeting.meeting_id, body=body)
    return vendor.meetings_api.v1_meetings_meeting_id_invitees_put(request=request, authenticator_options=signed()).data


def test_it_invites_in_place_of_who_was_invited(standin: Standin, vendor: Any, meeting: CloudMeeting) -> None:
    """200 a page, 2,000 in all; unknown ones are told; the creator alone."""
    names = [f"user-{number}" for number in range(2000)]
    standin.cloud.users |= set(names)
    assert invite(vendor, meeting, [*names[:401], "nobody"]).user_non_registered == ["nobody"]
    found: list[str] = []
    position, more = "0", True
    while more:
        page = invitees(vendor, meeting, pos=position)
        found += [each.userid for each in page.invitees]
        position, more = str(page.next_pos), page.has_remaining
    assert found == names[:401]
    invite(vendor, meeting, ["wang"])
    assert meeting.invitees == ["wang"]
    assert refused(invite, vendor, meeting, [*names, "wang"]) == 190004
    assert refused(invitees, vendor, meeting, "admin") == 9042
    assert refused(invite, vendor, meeting, ["wang"], "admin") == 9042
