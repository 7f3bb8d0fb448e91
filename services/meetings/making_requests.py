"""What booking asks of meetings that are made here, checked and made plain: every fault names its field."""

import re
from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.meetings.v1 import making_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2

from services.contracts import recurrence
from services.meetings import requests
from services.meetings.plans import USUAL_ZONE, MeetingOptions, MeetingPlan
from services.platform.serving import errors

MOST_INVITEES, MOST_HOSTS = 300, 10
_MAKING_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_PASSWORD = re.compile(r"(?:[0-9]{4,6})?", re.ASCII)


def making_id(given: str) -> str:
    if not _MAKING_ID.fullmatch(given):
        raise errors.invalid("making_id", 'must be 1 to 64 letters, digits, ".", "_" or "-"')
    return given


def creator(request: pb.MakeMeetingRequest) -> str:
    return named("creator_account_id", request.creator_account_id)


def plan(request: pb.MakeMeetingRequest) -> MeetingPlan:
    """Raises errors.RpcError."""
    subject = requests.subject(request.subject)
    return MeetingPlan(subject, *interval(request.start_time, request.end_time), options(request.options))


def interval(start_time: Timestamp, end_time: Timestamp) -> tuple[int, int]:
    """Epoch ms."""
    found = requests.interval(start_time, end_time)
    for field, given in (("start_time", start_time), ("end_time", end_time)):
        if given.nanos:
            raise errors.invalid(field, "must be a whole second")
    return found


def options(given: meeting_pb2.MeetingOptions) -> MeetingOptions:
    if not _PASSWORD.fullmatch(given.password):
        raise errors.invalid("options.password", "must be 4 to 6 digits")
    return MeetingOptions(
        time_zone=str(recurrence.time_zone(given.time_zone or USUAL_ZONE, "options.time_zone")),
        invitees=accounts("options.invitee_account_ids", given.invitee_account_ids, MOST_INVITEES),
        hosts=accounts("options.host_account_ids", given.host_account_ids, MOST_HOSTS),
        password=given.password,
        waiting_room=given.waiting_room,
        enter_before_host=given.enter_before_host,
        organization_only=given.organization_only,
        watermark=given.watermark,
        mute_on_entry=given.mute_on_entry,
    )


def accounts(field: str, given: Iterable[str], most: int) -> tuple[str, ...]:
    """Each once."""
    listed = [named(f"{field}[{place}]", each) for place, each in enumerate(given)]
    if len(listed) > most:
        raise errors.invalid(field, f"at most {most} can be named")
    return tuple(dict.fromkeys(listed))


def named(field: str, account: str) -> str:
    if not account.strip():
        raise errors.invalid(field, errors.REQUIRED)
    return requests.account(account, field)
