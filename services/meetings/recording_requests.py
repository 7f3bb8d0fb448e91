"""What callers of RecordingService ask, checked and made plain: every fault names its field and the way out."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from yunhui.meetings.v1 import recording_pb2 as pb
from yunhui.meetings.v1 import recording_service_pb2 as api

from services.meetings import requests
from services.meetings.recordings import Audience, RecordingKey, Sharing
from services.platform.clock import DAY
from services.platform.serving import errors
from services.platform.text.messages import message

LONGEST_REASON = 200
LONGEST_WINDOW = 366 * DAY
PAGE = 20
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_PASSWORD = re.compile(r"[A-Za-z0-9]{4,8}")
_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LATEST = 10**14
"""Milliseconds: the year 5138."""


@dataclass(frozen=True, slots=True)
class Share:
    sharing: Sharing
    password: str

    verb = "SHARE"
    file_id = ""

    @property
    def audience(self) -> str:
        return self.sharing.audience


@dataclass(frozen=True, slots=True)
class Delete:
    """All of it, or one file."""

    file_id: str

    verb = "DELETE"
    audience = ""


@dataclass(frozen=True, slots=True)
class RecordingOrder:
    """`body_hash` tells one request from another, but for its password: that must be found out from nothing."""

    key: RecordingKey
    request_id: str
    reason: str
    what: Share | Delete
    body_hash: bytes


def to_id(key: RecordingKey) -> str:
    return f"{key.provider}/{key.meeting_id}/{key.recording_id}/{key.start_time}"


def recording_key(given: str) -> RecordingKey:
    """Raises errors.invalid for what is none of ours; whether there is such a recording is for its provider to say."""
    if not given:
        raise errors.invalid("recording_id", errors.REQUIRED)
    parts = given.split("/")
    known = len(parts) == 4 and all(map(_PART.fullmatch, parts)) and parts[3].isascii() and parts[3].isdigit()
    if not known or int(parts[3]) >= _LATEST:
        raise errors.invalid("recording_id", message("is not one of ours: give it as it was listed"))
    return RecordingKey(parts[0], parts[1], parts[2], int(parts[3]))


def share_order(request: api.SetRecordingSharingRequest, now: int) -> RecordingOrder:
    """Raises errors.RpcError."""
    return _order(request, Share(_sharing(request, now), request.password))


def delete_order(request: api.DeleteRecordingRequest) -> RecordingOrder:
    """Raises errors.RpcError."""
    if request.file_id and not _PART.fullmatch(request.file_id):
        raise errors.invalid("file_id", message("is not one of ours: give it as it was listed"))
    return _order(request, Delete(request.file_id))


def _order(request: Any, what: Share | Delete) -> RecordingOrder:
    key = recording_key(request.recording_id)
    if not _REQUEST_ID.fullmatch(request.request_id):
        raise errors.invalid("request_id", message('must be 8 to 64 letters, digits, "-" and "_"'))
    reason = requests.line("reason", request.reason, LONGEST_REASON)
    return RecordingOrder(key, request.request_id, reason, what, _hash(request))


def _hash(request: Message) -> bytes:
    public = type(request)()
    public.CopyFrom(request)
    if isinstance(public, api.SetRecordingSharingRequest):
        public.sharing.has_password = bool(public.password)
        public.password = ""
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + public.SerializeToString(deterministic=True)).digest()


def _sharing(request: api.SetRecordingSharingRequest, now: int) -> Sharing:
    given = request.sharing
    if given.audience not in pb.RecordingAudience.values():
        raise errors.invalid("sharing.audience", message("{number} is none that we know", number=given.audience))
    if not given.audience:
        raise errors.invalid("sharing.audience", errors.REQUIRED)
    if request.password and not _PASSWORD.fullmatch(request.password):
        raise errors.invalid("password", message("must be 4 to 8 letters and digits"))
    expire = errors.moment("sharing.expire_time", given.expire_time) if given.HasField("expire_time") else None
    if expire is not None and expire <= now:
        raise errors.invalid("sharing.expire_time", message("must be in the future"))
    name = pb.RecordingAudience.Name(given.audience).removeprefix("RECORDING_AUDIENCE_")
    return Sharing(Audience(name), bool(request.password), expire, given.may_download)
