"""Every act of support and admins leaves an entry in the audit log of its program; none of a booker's own does."""

import asyncio
import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc
import nats
import pytest
from google.protobuf.message import Message
from yunhui.booking.v1 import booking_service_pb2 as booking
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import control_service_pb2 as control
from yunhui.meetings.v1 import listed_meeting_pb2 as listed
from yunhui.meetings.v1 import meeting_service_pb2 as meetings
from yunhui.meetings.v1 import recording_pb2
from yunhui.meetings.v1 import recording_service_pb2 as recordings
from yunhui.notifier.v1 import notifier_service_pb2 as notifier
from yunhui.outbox.v1 import outbox_service_pb2 as outbox
from yunhui.policy.v1 import policy_service_pb2 as policy

from services.booking import api as booking_api
from services.meetings import api as meetings_api
from services.meetings import control_api, recordings_api
from services.notifier import api as notifier_api
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.platform.data import audit_service
from services.platform.messaging import outbox_service
from services.policy import api as policy_api
from tests.callers import roles_with
from tests.patience import PATIENCE_SECONDS
from tests.system.stack import MONDAY, Stack, wait_for

pytestmark = pytest.mark.system

TUESDAY_TEN = 1_751_940_000_000  # 2025-07-08T10:00+08:00
POWER = {"support", "admin"}
NEEDED = {
    **booking_api.NEEDED,
    **policy_api.NEEDED,
    **notifier_api.NEEDED,
    **meetings_api.NEEDED,
    **outbox_service.NEEDED,
    **audit_service.NEEDED,
}
CHANGES_NOTHING = {
    *("CheckReservation", "GetReservation", "ListReservations", "GetStanding", "GetDecision", "ListRooms"),
    *("ListObjections", "CheckUpdate"),
    *("SearchAvailability", "WatchReservations", "Decide", "ReplayDecision", "ListPolicies", "GetPolicy"),
    *("ValidatePolicy", "SimulatePolicy", "ListDeliveries", "GetDelivery", "GetPreferences", "ListWebhooks"),
    *("ListDeadEvents", "GetDeadEvent", "LookUpMeeting", "ListParticipants", "GetOutboxStatus"),
    *("ListMeetings", "GetMeeting", "WatchMeetings", "ListPeople", "ListVisits", "GetQuality", "ListControlActs"),
    *("ListRecordings", "GetRecording", "GetRecordingLinks"),
    *("ListAuditEntries", "VerifyAudit", "GetAuditHead", "GetReservationHistory", "GetCalendarFeed"),
}
ONES_OWN = {"CreateCalendarFeed", "DeleteCalendarFeed", "ObjectToViolation"}
"""Can touch nobody else's: no power over others, whatever the role."""
DEVELOPMENT_ONLY = {"CreateMeeting", "ActInMeeting", "PopulateMeeting"}


def methods(of: set[str]) -> set[str]:
    return {path.rpartition("/")[2] for path, needed in NEEDED.items() if roles_with(needed) & of}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Time is moved in it."""
    running = Stack(tmp_path_factory.mktemp("audited"))
    running.start("--clock", MONDAY, "--meetings", "off", "--portal", "off")
    yield running
    running.stop()


class Caller:
    """Somebody who calls methods of any service."""

    def __init__(self, stack: Stack, role: str, account: str) -> None:
        self._run, self._token = stack.run, stack.login(role, account).token

    def ask(self, program: str, service: str, request: Message, kind: type[Any]) -> Any:
        method = type(request).__name__.removesuffix("Request")
        with grpc.insecure_channel(self._run[program]) as channel:
            call: Callable[..., Any] = channel.unary_unary(
                f"/{service}/{method}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=kind.FromString,
            )
            return call(request, metadata=(("authorization", f"Bearer {self._token}"),), timeout=PATIENCE_SECONDS)

    def book(self, request: Message) -> Any:
        kind = getattr(booking, type(request).__name__.replace("Request", "Response"))
        return self.ask("booking", booking_api.SERVICE, request, kind)

    def notify(self, request: Message) -> Any:
        kind = getattr(notifier, type(request).__name__.replace("Request", "Response"))
        return self.ask("notifier", notifier_api.SERVICE, request, kind)


def wish(start: int, people: int = 12, account: str | None = None) -> booking.CreateReservationRequest:
    return booking.CreateReservationRequest(
        meeting_code="123-456-789",
        subject="canary-subject",
        start_time=to_timestamp(start),
        end_time=to_timestamp(start + HOUR),
        participant_count=people,
        account_id=account,
    )


def reserve(who: Caller, start: int, people: int = 12, account: str | None = None) -> pb.Reservation:
    made = who.book(wish(start, people, account))
    assert made.HasField("reservation"), made
    record: pb.Reservation = made.reservation
    return record


def act_in_booking(stack: Stack, admin: Caller, support: Caller) -> None:
    owner, late = Caller(stack, "booker", "owner"), Caller(stack, "booker", "late")
    admin.book(booking.CreateRoomRequest(room_id="new-1", display_name="New", capacity=99))
    admin.book(booking.UpdateRoomRequest(room_id="new-1", capacity=90))
    first = reserve(owner, TUESDAY_TEN + 4 * HOUR).reservation_id
    support.book(booking.UpdateReservationRequest(reservation_id=first, participant_count=11))
    support.book(booking.CancelReservationRequest(reservation_id=first, note="canary-note"))
    reserve(owner, TUESDAY_TEN + 5 * HOUR)
    late.book(wish(TUESDAY_TEN, 2))  # refused, and now the account is known
    support.book(booking.HandOverReservationsRequest(account_id="owner", new_account_id="late"))
    support.book(booking.CancelComingReservationsRequest(account_id="late", note="canary-note"))
    reserve(support, TUESDAY_TEN + DAY, account="owner")
    series = booking.CreateReservationSeriesRequest(
        first=wish(TUESDAY_TEN + 2 * DAY, account="owner"),
        recurrence_rule="FREQ=DAILY;COUNT=2",
        time_zone="Asia/Shanghai",
    )
    support.book(series)
    large = reserve(owner, TUESDAY_TEN + DAY + 3 * HOUR, 150).reservation_id
    support.book(booking.ResolveEscalationRequest(reservation_id=large, note="canary-note"))
    held = reserve(owner, TUESDAY_TEN).reservation_id
    reserve(late, TUESDAY_TEN)
    stack.yunhui("clock", "set", "2025-07-08 10:05")
    entered = booking.ReportAttendanceRequest(reservation_id=held, enter_time=to_timestamp(TUESDAY_TEN + MINUTE))
    Caller(stack, "service", "door").book(entered)
    admin.book(booking.EndReservationRequest(reservation_id=held))
    stack.yunhui("clock", "set", "2025-07-08 10:45")
    asked = booking.GetStandingRequest(account_id="late")
    [violation] = wait_for(lambda: list(support.book(asked).standing.violations))
    late.book(booking.ObjectToViolationRequest(violation_id=violation.violation_id, text="canary-text"))
    support.book(booking.DismissObjectionRequest(violation_id=violation.violation_id, note="canary-note"))
    support.book(booking.WaiveViolationRequest(violation_id=violation.violation_id, note="canary-note"))
    reserve(late, TUESDAY_TEN + 3 * HOUR)
    again = outbox.ReplayOutboxRequest()
    admin.ask("booking", outbox_service.SERVICE, again, outbox.ReplayOutboxResponse)


def act_in_policy(admin: Caller) -> None:
    rules = files("services.policy") / "rules"
    source, tests = ((rules / name).read_text("utf-8") for name in ("default.yaml", "default.test.yaml"))
    draft = policy.PublishPolicyRequest(source=source, tests=tests, note="canary-note")
    admin.ask("policy", policy_api.SERVICE, draft, policy.PublishPolicyResponse)
    back = policy.RollbackPolicyRequest(version="default@1", note="canary-note")
    admin.ask("policy", policy_api.SERVICE, back, policy.RollbackPolicyResponse)


def act_in_meetings(stack: Stack, admin: Caller) -> None:
    """What the provider refuses, for nobody of that name is there, is noted as well."""
    host, whom = stack.login("booker", "owner"), listed.Target(person_id="canary-person")
    for act in (("meeting", "123-456-789", "--start", "2025-07-08 18:00", "--minutes", "60"), ("enter", "123-456-789")):
        assert host.yunhui("simulate", *act).code == 0
    running = meetings.ListMeetingsRequest(phase=listed.MEETING_PHASE_RUNNING, meeting_code="123456789")
    found = admin.ask("meetings", meetings_api.SERVICE, running, meetings.ListMeetingsResponse).meetings
    acts: list[Message] = [
        control.ChangeMeetingSettingsRequest(settings=control.RunningSettings(locked=True)),
        *(kind(target=whom) for kind in (control.MutePersonRequest, control.SetCoHostRequest)),
        *(kind(target=whom) for kind in (control.StopVideoRequest, control.StopSharingRequest)),
        *(kind(targets=[whom]) for kind in (control.RemovePeopleRequest, control.AdmitPeopleRequest)),
        *(kind(targets=[whom]) for kind in (control.PutInWaitingRoomRequest, control.TurnPeopleAwayRequest)),
        control.RenamePersonRequest(target=whom, display_name="canary-name"),
        control.InviteMembersRequest(account_ids=["late"]),
        control.EndMeetingRequest(),
    ]
    for number, request in enumerate(acts):
        order: Any = getattr(request, "order")  # noqa: B009 - each of them has one
        order.CopyFrom(
            control.ControlOrder(meeting=found[0].meeting, request_id=f"request-{number}", reason="canary-reason")
        )
        kind = getattr(control, type(request).__name__.replace("Request", "Response"))
        admin.ask("meetings", control_api.SERVICE, request, kind)
    act_on_recordings(stack, admin)


def act_on_recordings(stack: Stack, admin: Caller) -> None:
    host = stack.login("booker", "owner")
    for act in (("meeting", "123-456-780", "--start", "2025-07-08 18:00", "--minutes", "60"), ("enter", "123-456-780")):
        assert host.yunhui("simulate", *act).code == 0
    for word in ("record", "stop-recording"):
        assert host.yunhui("simulate", word, "123-456-780").code == 0
    wanted = recordings.ListRecordingsRequest(meeting_code="123456780")
    listed_recordings = admin.ask("meetings", recordings_api.SERVICE, wanted, recordings.ListRecordingsResponse)
    named = {"recording_id": listed_recordings.recordings[0].recording_id, "reason": "canary-reason"}
    sharing = recording_pb2.RecordingSharing(audience=recording_pb2.RECORDING_AUDIENCE_ORGANIZATION)
    share = recordings.SetRecordingSharingRequest(**named, request_id="share-it", sharing=sharing, password="canary1")
    admin.ask("meetings", recordings_api.SERVICE, share, recordings.SetRecordingSharingResponse)
    delete = recordings.DeleteRecordingRequest(**named, request_id="delete-it")
    admin.ask("meetings", recordings_api.SERVICE, delete, recordings.DeleteRecordingResponse)


def act_in_notifier(stack: Stack, admin: Caller, support: Caller) -> None:
    off = notifier.NoticePreference(notice="confirmation", enabled=False)
    admin.notify(notifier.UpdatePreferencesRequest(account_id="owner", notices=[off]))
    hook = notifier.CreateWebhookRequest(url="http://127.0.0.1:9/canary-path", filter="yunhui.booking.account.*")
    webhook_id = admin.notify(hook).webhook.webhook_id
    admin.notify(notifier.UpdateWebhookRequest(webhook_id=webhook_id, url="http://127.0.0.1:9/canary-path-2"))
    admin.notify(notifier.DeleteWebhookRequest(webhook_id=webhook_id))
    sent = notifier.ListDeliveriesRequest(account_id="late", kind="confirmation")
    found = wait_for(lambda: [each for each in support.notify(sent).deliveries if each.resendable])
    support.notify(notifier.ResendDeliveryRequest(delivery_id=found[0].delivery_id))
    asyncio.run(publish_what_is_unreadable(stack))
    wait_for(lambda: admin.notify(notifier.ListDeadEventsRequest()).dead_events)
    with pytest.raises(grpc.RpcError, match="stays open"):
        admin.notify(notifier.RetryDeadEventRequest(dead_event_id="evt_dead"))
    admin.notify(notifier.DropDeadEventRequest(dead_event_id="evt_dead", note="canary-note"))


async def publish_what_is_unreadable(stack: Stack) -> None:
    options = {"user": "booking", "password": stack.password("booking"), "inbox_prefix": "_INBOX_booking"}
    connection = await nats.connect(stack.run["nats"], **options)
    headers = {"ce-id": "evt_dead", "ce-type": "yunhui.booking.reservation.confirmed"}
    await connection.jetstream().publish(headers["ce-type"], b"{", headers=headers)
    await connection.close()


@pytest.fixture(scope="module")
def acted(own: Stack) -> Stack:
    """After one of each act."""
    admin, support = Caller(own, "admin", "boss"), Caller(own, "support", "helper")
    act_in_booking(own, admin, support)
    act_in_policy(admin)
    act_in_meetings(own, admin)
    act_in_notifier(own, admin, support)
    return own


def entries(stack: Stack, *options: str) -> list[dict[str, Any]]:
    said = stack.login("admin", "auditor").yunhui("audit", "list", "--limit", "500", *options)
    found: list[dict[str, Any]] = said.answer["entries"]
    return found


def test_every_act_with_power_over_others_is_recorded(acted: Stack) -> None:
    """A new method of support or admin must leave an entry here, or be said to change nothing."""
    seen = {each["method"].rpartition("/")[2] for each in entries(acted)}
    assert methods(POWER) - CHANGES_NOTHING - DEVELOPMENT_ONLY - ONES_OWN <= seen
    assert seen <= methods(POWER | {"service"}) - CHANGES_NOTHING
    assert methods(POWER) >= CHANGES_NOTHING | DEVELOPMENT_ONLY | ONES_OWN, "these are no methods any more"


def test_who_did_what_to_whom_is_told(acted: Stack) -> None:
    [cancelled] = [each for each in entries(acted) if each["method"].endswith("/CancelReservation")]
    assert (cancelled["program"], cancelled["actor"], cancelled["roles"]) == ("booking", "helper", "support")
    assert (cancelled["accountId"], cancelled["targetKind"], cancelled["outcome"]) == (
        *("owner", "reservation", "CANCELLED"),
    )
    assert entries(acted, "--target", f"reservation/{cancelled['targetId']}")[-1]["outcome"] == "CONFIRMED"
    assert {each["actor"] for each in entries(acted, "--actor", "boss")} == {"boss"}
    assert {each["accountId"] for each in entries(acted, "--account", "late")} == {"late"}


def test_what_bookers_do_with_their_own_is_not_in_it(acted: Stack) -> None:
    assert not {each["actor"] for each in entries(acted)} & {"owner", "late"}


def test_nothing_private_is_in_it(acted: Stack) -> None:
    """No subject, note, address or secret."""
    told = json.dumps(entries(acted))
    assert not [word for word in ("canary", "@example.org", "whsec_", "New") if word in told]


def test_the_chain_is_whole_and_its_exports_too(acted: Stack, tmp_path: Path) -> None:
    """A changed line of an export is named, and one that is missing at the end by the head noted before."""
    admin, file = acted.login("admin", "auditor"), tmp_path / "audit.jsonl"
    whole = admin.yunhui("audit", "verify")
    assert whole.code == 0, whole.err
    head = whole.answer["programs"]["booking"]["head"]
    noted = ("--head", f"booking:{head['number']}:{head['hash']}")
    assert admin.yunhui("audit", "verify", *noted).code == 0
    assert admin.yunhui("audit", "verify", "--head", f"booking:1:{'0' * 64}").code == 1
    assert admin.yunhui("audit", "export", "--out", str(file)).code == 0
    lines = file.read_text().splitlines(keepends=True)
    assert admin.yunhui("audit", "verify", "--file", str(file), *noted).code == 0
    file.write_text("".join(lines).replace('"helper"', '"another"', 1))
    told = acted.yunhui("audit", "verify", "--file", str(file), "--lang", "en")
    assert (told.code, "of booking is broken" in " ".join(told.err.split())) == (1, True)
    of_booking = [line for line in lines if '"program": "booking"' in line]
    file.write_text("".join(of_booking[:-1]))
    assert admin.yunhui("audit", "verify", "--file", str(file)).code == 0
    assert admin.yunhui("audit", "verify", "--file", str(file), *noted).code == 1
    assert admin.yunhui("audit", "export", "--out", str(file)).code == 2
    assert admin.yunhui("audit", "export", "--format", "csv", "--program", "policy").out.count("\n") == 3


def test_only_admins_read_it(acted: Stack) -> None:
    for role in ("booker", "support", "service"):
        assert acted.login(role, f"curious-{role}").yunhui("audit", "list").code == 1


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_people_can_read_it(acted: Stack, lang: str) -> None:
    acted.login("admin", "auditor")
    listed = acted.yunhui("audit", "list", "--lang", lang)
    assert (listed.code, listed.out.count("helper") > 0) == (0, True)
    assert acted.yunhui("audit", "verify", "--lang", lang).code == 0
