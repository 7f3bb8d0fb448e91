"""What the vendor's calls prove and mean: its own worked example, forgeries, and every event that concerns us."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from services.meetings.tencent import callbacks
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.callbacks import Checker, Proof
from services.meetings.webhook_event import Kind, WebhookEvent
from services.meetings.webhooks import WebhookRefusedError, WebhookUnreadableError
from services.standin.sender import WebhookSender, encrypt

VECTOR: dict[str, str] = json.loads(Path(__file__).with_name("tencent-webhook-vector.json").read_text())
VECTOR_PROOF = Proof(VECTOR["timestamp"], VECTOR["nonce"], VECTOR["signature"])
VECTOR_TIME = int(VECTOR["timestamp"]) / 1000
KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
ANYBODY = Accounts()
JOINED = 1_751_846_400_123


def test_the_official_worked_example() -> None:
    """Its data has no padding, its times are text, its timestamp counts milliseconds."""
    Checker(VECTOR["token"], lambda: VECTOR_TIME).check(VECTOR_PROOF, VECTOR["data"])
    plain = json.loads(callbacks.decode(VECTOR["data"], ""))
    assert (plain["event"], plain["payload"][0]["meeting_info"]["meeting_code"]) == ("meeting.created", "530812452")
    assert callbacks.read(callbacks.decode(VECTOR["data"], ""), ANYBODY) == []


def test_the_older_form_with_times_as_text_is_understood() -> None:
    """As in the worked example: Beijing time."""
    plain = json.loads(callbacks.decode(VECTOR["data"], "")) | {"event": "meeting.updated"}
    [told] = callbacks.read(json.dumps(plain).encode(), ANYBODY)
    assert (told.event_time, told.start_time) == (1_609_234_866_000, 1_609_234_864_000)


@pytest.mark.parametrize("seconds", [-301, 301, -86400])
def test_the_worked_example_is_stale_today(seconds: int) -> None:
    with pytest.raises(WebhookRefusedError, match="five minutes"):
        Checker(VECTOR["token"], lambda: VECTOR_TIME + seconds).check(VECTOR_PROOF, VECTOR["data"])


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_within_five_minutes_it_is_fresh(seconds: int) -> None:
    Checker(VECTOR["token"], lambda: VECTOR_TIME + seconds).check(VECTOR_PROOF, VECTOR["data"])


FORGERIES = [
    (VECTOR_PROOF, VECTOR["data"] + "="),
    (VECTOR_PROOF, VECTOR["data"][:-1]),
    (VECTOR_PROOF, ""),
    (VECTOR_PROOF, "会议"),
    (Proof(VECTOR["timestamp"], "1", VECTOR["signature"]), VECTOR["data"]),
    (Proof(VECTOR["timestamp"], VECTOR["nonce"], ""), VECTOR["data"]),
    (Proof(VECTOR["timestamp"], VECTOR["nonce"], "é"), VECTOR["data"]),
    (Proof(VECTOR["timestamp"], VECTOR["nonce"], VECTOR["signature"].upper()), VECTOR["data"]),
    (Proof("", "", callbacks.sign(VECTOR["token"], "", "", VECTOR["data"])), VECTOR["data"]),
    (Proof("1609239040864", "x", callbacks.sign(VECTOR["token"], "1609239040864", "x", "e30")), "e30"),
]


@pytest.mark.parametrize(("proof", "data"), FORGERIES)
def test_a_forgery_is_refused(proof: Proof, data: str) -> None:
    """One byte more or less, other headers, none, or such as are no numbers."""
    with pytest.raises(WebhookRefusedError):
        Checker(VECTOR["token"], lambda: VECTOR_TIME).check(proof, data)


def test_characters_cannot_wander_from_one_value_into_another() -> None:
    """The signature is over the values joined, and does not say where one ends: a shorter nonce, a longer timestamp."""
    nonce, timestamp = VECTOR["nonce"], VECTOR["timestamp"]
    wandered = Proof(nonce[-2:] + timestamp, nonce[:-2], VECTOR["signature"])
    joined = sorted([VECTOR["token"], wandered.timestamp, wandered.nonce, VECTOR["data"]])
    assert "".join(joined) == "".join(sorted([VECTOR["token"], timestamp, nonce, VECTOR["data"]]))
    with pytest.raises(WebhookRefusedError, match="not numbers"):
        Checker(VECTOR["token"], lambda: VECTOR_TIME).check(wandered, VECTOR["data"])


@pytest.mark.parametrize("size", range(40))
def test_what_was_encrypted_is_decrypted(size: int) -> None:
    """Whatever the length, with the padding of base64 and without."""
    plain = b"x" * size
    data = base64.b64encode(encrypt(KEY, plain)).decode()
    assert callbacks.decode(data, KEY) == callbacks.decode(data.rstrip("="), KEY) == plain


@pytest.mark.parametrize("data", ["!!!", "e", "e30", "中", base64.b64encode(b"x" * 32).decode()])
def test_what_is_not_encrypted_with_our_key_is_unreadable(data: str) -> None:
    with pytest.raises(WebhookUnreadableError):
        callbacks.decode(data, KEY)


def told(event: str, **more: Any) -> list[WebhookEvent]:
    info = {"meeting_id": "77", "meeting_code": "123456789", "start_time": 1_751_850_000, "end_time": 1_751_853_600}
    info |= more.pop("info", {})
    item = {"operate_time": JOINED, "operator": {"userid": "li", "ms_open_id": "m1"}, "meeting_info": info, **more}
    return callbacks.read(json.dumps({"event": event, "trace_id": "t", "payload": [item]}).encode(), ANYBODY)


def test_who_joined_has_entered() -> None:
    [entered] = told("meeting.participant-joined")
    assert (entered.kind, entered.account, entered.event_time) == (Kind.ENTERED, "li", JOINED)
    assert entered.key.entity_id == "tencent/77/"


@pytest.mark.parametrize("event", ["joined", "left"])
def test_who_it_was_at_which_device_and_whose_meeting(event: str) -> None:
    """As acts are addressed to them, and for what is told of a meeting that nobody reserved."""
    operator = {"userid": "li", "ms_open_id": "m1", "user_name": "李", "instance_id": 3}
    info = {"meeting_code": "530812452", "subject": "组会", "creator": {"userid": "wang", "user_name": "王"}}
    [told_of] = told(f"meeting.participant-{event}", info=info, operator=operator)
    assert (told_of.person_id, told_of.terminal, told_of.display_name) == ("m1", "3", "李")
    assert (told_of.meeting_code, told_of.subject, told_of.creator) == ("530812452", "组会", "wang")


def test_of_a_guest_only_what_is_told() -> None:
    """The creator may be a meeting room's device, which has no userid."""
    [entered] = told("meeting.participant-joined", info={"creator": None}, operator={"nick_name": "guest"})
    assert (entered.account, entered.person_id, entered.terminal, entered.creator) == ("", "", "", "")
    assert (entered.display_name, entered.subject) == ("guest", "")


def test_the_same_event_stays_the_same_whatever_is_told_beside_it() -> None:
    """Its digest was stored before more was read of it."""
    [plain] = told("meeting.participant-joined")
    [more] = told("meeting.participant-joined", info={"subject": "组会"})
    assert plain.digest == more.digest


def test_the_first_one_in_is_an_entry_and_the_last_one_out_leaves_nobody() -> None:
    [first] = told("meeting.participant-status-update", info={"meeting_participant_status": 0})
    [last] = told("meeting.participant-status-update", info={"meeting_participant_status": 1})
    assert (first.kind, last.kind, last.everybody_left) == (Kind.ENTERED, Kind.LEFT, True)


@pytest.mark.parametrize(
    "event",
    ["jbh-waiting", "joined-waiting-room", "left-waiting-room", "admitted", "put-in-waiting-room"],
)
def test_the_waiting_room_is_not_the_meeting(event: str) -> None:
    assert told(f"meeting.participant-{event}") == []


@pytest.mark.parametrize("scene", [1, 2, 3, 4])
def test_breakout_rooms_are_not_the_meeting_itself(scene: int) -> None:
    assert told("meeting.participant-joined", action_scene_type=scene) == []
    assert told("meeting.participant-joined", info={"meeting_id_type": 1}) == []


def test_an_end_is_an_end_unless_people_may_come_back() -> None:
    """3: it emptied before its planned end."""
    kinds = [told("meeting.end", meeting_end_type=why)[0].kind for why in range(4)]
    assert kinds == [Kind.ENDED, Kind.ENDED, Kind.ENDED, Kind.LEFT]


def test_changes_and_cancellations_are_told_with_the_occurrence() -> None:
    sub = {"sub_meeting_id": "s1", "sub_meeting_start_time": 5, "sub_meeting_end_time": 6}
    [changed] = told("meeting.updated", info=sub)
    [cancelled] = told("meeting.canceled", info=sub)
    assert (changed.kind, changed.start_time, changed.end_time) == (Kind.CHANGED, 5000, 6000)
    assert (cancelled.kind, cancelled.key.sub_meeting_id) == (Kind.CANCELLED, "s1")


@pytest.mark.parametrize("event", ["meeting.created", "meeting.started", "recording.completed", "new.event"])
def test_other_events_are_no_concern_of_ours(event: str) -> None:
    assert told(event) == []


def test_nulls_and_unknown_fields_do_no_harm() -> None:
    """A guest has no userid."""
    [entered] = told("meeting.participant-joined", operator={"userid": None, "ms_open_id": "m2", "new": 1}, extend=None)
    assert entered.account == ""


UNREADABLE: list[Any] = [
    b"",
    b"[]",
    b"{}",
    b"null",
    b'{"event": 1, "payload": {}}',
    b'{"event": "meeting.end", "payload": [{}]}',
    b'{"event": "meeting.end", "payload": [{"operate_time": "yesterday", "meeting_info": {"meeting_id": "1"}}]}',
    b'{"event": "meeting.end", "payload": [{"operate_time": 5, "meeting_info": {"meeting_id": ""}}]}',
    b'{"event": "meeting.end", "payload": [{"operate_time": -5, "meeting_info": {"meeting_id": "1"}}]}',
    b"\xff\xfe",
    b"[" * 100_000,
]


@pytest.mark.parametrize("plain", UNREADABLE)
def test_what_is_no_event_is_unreadable(plain: bytes) -> None:
    """Truncated, of another form, without what must be there."""
    with pytest.raises(WebhookUnreadableError):
        callbacks.read(plain, ANYBODY)


def test_the_stand_in_signs_as_the_original_does() -> None:
    """Against the worked example: what is tested with it is tested with the real thing."""
    signed = WebhookSender(token=VECTOR["token"]).sign(VECTOR["data"], "", VECTOR["timestamp"], VECTOR["nonce"])
    assert signed["signature"] == VECTOR["signature"]
    assert abs(int(WebhookSender(token="t").sign("x")["timestamp"]) - time.time() * 1000) < 60_000
