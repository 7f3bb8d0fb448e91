"""What Tencent Meeting calls us with: signature, freshness, encryption, and what its events mean in our words."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import model_validator as on_model

from services.meetings.provider import MeetingKey
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.tencent import NAME
from services.meetings.webhook_event import Kind, WebhookEvent
from services.meetings.webhooks import WebhookRefusedError, WebhookUnreadableError

WINDOW_MS = 300_000
REMEMBERED = 50_000
LARGEST_PADDING = 32
LONGEST_NAME, LONGEST_SUBJECT = 100, 255
MAIN, WHOLE_MEETING = 0, 0  # action_scene_type, meeting_id_type: neither is a breakout room
FIRST_IN, ALL_OUT = 0, 1
EMPTY_BEFORE_PLANNED_END = 3
TEXT_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Proof:
    """The three headers of a call."""

    timestamp: str
    nonce: str
    signature: str


class Checker:
    """Signature, freshness, and which calls have been dealt with before."""

    def __init__(self, token: str, now: Callable[[], float] = time.time) -> None:
        self._token = token
        self._now = now
        self._settled: OrderedDict[Proof, None] = OrderedDict()

    def check(self, proof: Proof, data: str) -> None:
        """`data` exactly as it was sent. Raises RefusedError.

        The signature does not say where one value ends and the next begins, so timestamp and nonce must be numbers of
        a fixed form: nobody may move characters from one into the other.
        """
        numbers = (proof.timestamp, proof.nonce)
        if not all(each.isascii() and each.isdigit() for each in numbers) or len(proof.timestamp) != 13:
            raise WebhookRefusedError("timestamp and nonce are not numbers")
        if not data.isascii() or not hmac.compare_digest(
            sign(self._token, *numbers, data).encode(), proof.signature.encode(errors="replace")
        ):
            raise WebhookRefusedError("the signature is not ours")
        if abs(self._now() * 1000 - int(proof.timestamp)) > WINDOW_MS:
            raise WebhookRefusedError("the timestamp is more than five minutes off")

    def settled_before(self, proof: Proof) -> bool:
        return proof in self._settled

    def settle(self, proof: Proof) -> None:
        """What was stored need not be stored again: only saves work, for storing twice changes nothing."""
        self._settled[proof] = None
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)


def sign(token: str, timestamp: str, nonce: str, data: str) -> str:
    """As documented (1095/51612): SHA-1 in hex of the four values in their order as text."""
    return hashlib.sha1("".join(sorted([token, timestamp, nonce, data])).encode()).hexdigest()  # noqa: S324 - theirs


def decode(data: str, aes_key: str) -> bytes:
    """The plain text of what was sent, which has often lost its padding. Raises UnreadableError."""
    try:
        content = base64.b64decode(data.rstrip("=") + "=" * (-len(data.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WebhookUnreadableError("data is not base64") from error
    return decrypt(content, aes_key) if aes_key else content


def decrypt(content: bytes, aes_key: str) -> bytes:
    """AES-256-CBC; the vector is the first half of the key; PKCS#7, of whichever block size. Raises UnreadableError."""
    key = base64.b64decode(aes_key + "=")
    decryptor = Cipher(algorithms.AES256(key), modes.CBC(key[:16])).decryptor()
    try:
        plain = decryptor.update(content) + decryptor.finalize()
    except ValueError as error:
        raise WebhookUnreadableError("data is not encrypted") from error
    size = plain[-1] if plain else 0
    if not 1 <= size <= LARGEST_PADDING or plain[-size:] != bytes([size]) * size:
        raise WebhookUnreadableError("data is encrypted with another key")
    return plain[:-size]


def _moment(value: Any) -> Any:
    """Epoch milliseconds; older events say it in text, in Beijing time."""
    if isinstance(value, str) and not value.isdigit():
        return int(datetime.fromisoformat(value).replace(tzinfo=TEXT_ZONE).timestamp() * 1000) if value else 0
    return value


def _seconds(value: Any) -> Any:
    if isinstance(value, str) and not value.isdigit():
        return _moment(value) // 1000
    return value


class Part(BaseModel):
    """Unknown fields are ignored; a null is a field that is not there."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    @on_model(mode="before")
    @classmethod
    def drop_nulls(cls, content: Any) -> Any:
        named = type(content) is dict
        return {name: value for name, value in content.items() if value is not None} if named else content


class Operator(Part):
    userid: str = ""
    open_id: str = ""
    uuid: str = ""
    ms_open_id: str = ""
    pstn_number: str = ""
    user_name: str = ""
    nick_name: str = ""
    instance_id: str = ""

    @property
    def person(self) -> str:
        return self.ms_open_id or self.userid or self.open_id or self.uuid or self.pstn_number


class Creator(Part):
    userid: str = ""


class ReportedMeeting(Part):
    meeting_id: str = Field(min_length=1, max_length=64)
    meeting_code: str = ""
    subject: str = ""
    creator: Creator = Creator()
    sub_meeting_id: str = Field("", max_length=64)
    start_time: Annotated[int, BeforeValidator(_seconds)] = 0
    end_time: Annotated[int, BeforeValidator(_seconds)] = 0
    sub_meeting_start_time: Annotated[int, BeforeValidator(_seconds)] = 0
    sub_meeting_end_time: Annotated[int, BeforeValidator(_seconds)] = 0
    meeting_participant_status: int = -1
    meeting_id_type: int = WHOLE_MEETING
    meeting_end_type: int = -1
    action_scene_type: int = MAIN


class Item(Part):
    operate_time: Annotated[int, BeforeValidator(_moment), Field(gt=0, lt=10**14)]
    operator: Operator = Operator()
    meeting_info: ReportedMeeting
    action_scene_type: int = MAIN
    meeting_end_type: int = -1


class Envelope(Part):
    """`trace_id` has an older name."""

    event: str
    trace_id: str = Field("", validation_alias=AliasChoices("trace_id", "unique_sequence"))
    payload: list[dict[str, Any]]


def read(plain: bytes, accounts: Accounts) -> list[WebhookEvent]:
    """What the call tells; nothing for events that do not concern us. Raises UnreadableError."""
    try:
        envelope = Envelope.model_validate(json.loads(plain))
        kind = _READERS.get(envelope.event)
        items = [Item.model_validate(each) for each in envelope.payload] if kind else []
    except (ValidationError, ValueError, RecursionError) as error:
        raise WebhookUnreadableError(f"not an event: {type(error).__name__}") from error
    read_all = (kind(item, accounts) for item in items) if kind else ()
    return [event for event in read_all if event]


def _entered(item: Item, accounts: Accounts) -> WebhookEvent | None:
    return _about_a_person(Kind.ENTERED, item, accounts) if _in_the_meeting_itself(item) else None


def _left(item: Item, accounts: Accounts) -> WebhookEvent | None:
    return _about_a_person(Kind.LEFT, item, accounts) if _in_the_meeting_itself(item) else None


def _occupancy(item: Item, accounts: Accounts) -> WebhookEvent | None:
    """The first came in, or the last has gone; the event names nobody."""
    status = item.meeting_info.meeting_participant_status
    if status == FIRST_IN and _in_the_meeting_itself(item):
        return _webhook_event(Kind.ENTERED, item, accounts, ("first",))
    if status == ALL_OUT and _in_the_meeting_itself(item):
        return _webhook_event(Kind.LEFT, item, accounts, ("all",), everybody_left=True)
    return None


def _ended(item: Item, accounts: Accounts) -> WebhookEvent:
    """A meeting that merely emptied before its planned end can be entered again: that is no end."""
    why = max(item.meeting_end_type, item.meeting_info.meeting_end_type)
    if why == EMPTY_BEFORE_PLANNED_END:
        return _webhook_event(Kind.LEFT, item, accounts, ("emptied",), everybody_left=True)
    return _webhook_event(Kind.ENDED, item, accounts, (str(why),))


def _changed(item: Item, accounts: Accounts) -> WebhookEvent:
    info = item.meeting_info
    start, end = info.sub_meeting_start_time or info.start_time, info.sub_meeting_end_time or info.end_time
    times = {"start_time": start * 1000, "end_time": end * 1000}
    return _webhook_event(Kind.CHANGED, item, accounts, (str(start), str(end)), **times)


def _cancelled(item: Item, accounts: Accounts) -> WebhookEvent:
    return _webhook_event(Kind.CANCELLED, item, accounts, ())


_READERS: Mapping[str, Callable[[Item, Accounts], WebhookEvent | None]] = {
    # meeting.started is left out: it tells only of the host, who is told of as everybody else; so is the waiting room
    "meeting.participant-joined": _entered,
    "meeting.participant-left": _left,
    "meeting.participant-status-update": _occupancy,
    "meeting.end": _ended,
    "meeting.updated": _changed,
    "meeting.canceled": _cancelled,
}


def _in_the_meeting_itself(item: Item) -> bool:
    scenes = (item.action_scene_type, item.meeting_info.action_scene_type)
    return scenes == (MAIN, MAIN) and item.meeting_info.meeting_id_type == WHOLE_MEETING


def _about_a_person(kind: Kind, item: Item, accounts: Accounts) -> WebhookEvent:
    who = item.operator
    person = {
        "account": accounts.to_account(who.userid),
        "person_id": who.ms_open_id,
        "terminal": who.instance_id,
        "display_name": (who.nick_name or who.user_name)[:LONGEST_NAME],
    }
    return _webhook_event(kind, item, accounts, (who.person,), **person)


def _webhook_event(
    kind: Kind, item: Item, accounts: Accounts, natural_key: tuple[str, ...], **more: Any
) -> WebhookEvent:
    info = item.meeting_info
    return WebhookEvent(
        kind,
        MeetingKey(NAME, info.meeting_id, info.sub_meeting_id),
        item.operate_time,
        natural_key,
        meeting_code=info.meeting_code,
        subject=info.subject[:LONGEST_SUBJECT],
        creator=accounts.to_account(info.creator.userid),
        **more,
    )
