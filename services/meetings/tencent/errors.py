"""What Tencent Meeting's error codes mean. The code counts and the call it answers; the HTTP status says nothing."""

import logging
from collections.abc import Mapping
from enum import StrEnum

from services.meetings.provider import (
    AwayError,
    CancelledError,
    MisconfiguredError,
    NoSuchMeetingError,
    NoSuchPersonError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
    UnsupportedError,
    WrongStateError,
)

log = logging.getLogger(__name__)

MINUTE, HOUR = 60, 3600


class Endpoint(StrEnum):
    """The calls that we make."""

    FIND = "GET /v1/meetings"
    OWN = "GET /v1/meetings?userid"
    MAKE = "POST /v1/meetings"
    MOVE = "PUT /v1/meetings/{id}"
    CALL_OFF = "POST /v1/meetings/{id}/cancel"
    GET = "GET /v1/meetings/{id}"
    PARTICIPANTS = "GET /v1/meetings/{id}/participants"
    MEETINGS = "GET /v1/corp/meetings"
    INSIDE = "GET /v1/meetings/{id}/real-time-participants"
    WAITING = "GET /v1/meetings/{id}/waiting-room-participants"
    QUALITY = "GET /v1/meetings/{id}/qos"
    PERSON_ID = "GET /v1/meetings/{id}/ms-open-id"
    INVITEES = "GET /v1/meetings/{id}/invitees"
    INVITE = "PUT /v1/meetings/{id}/invitees"
    END = "POST /v1/meetings/{id}/dismiss"
    SETTINGS = "PUT /v1/real-control/meetings/{id}/status"
    MUTE = "PUT /v1/real-control/meetings/{id}/mutes"
    REMOVE = "PUT /v1/real-control/meetings/{id}/kickout"
    CO_HOST = "PUT /v1/real-control/meetings/{id}/cohosts"
    WAITING_ROOM = "PUT /v1/real-control/meetings/{id}/waiting-room"
    VIDEO = "PUT /v1/real-control/meetings/{id}/video"
    SHARING = "PUT /v1/real-control/meetings/{id}/screen-shared"
    NAMES = "PUT /v1/real-control/meetings/{id}/names"
    USERS = "GET /v1/users/advance/list"


OF_ACCOUNT = {Endpoint.USERS, Endpoint.MEETINGS}
"""Calls about the whole enterprise: fewer a minute, each of them for itself."""


ABSENT = {9002, 9003, 190457}
CANCELLED = 9007
FORBIDDEN = {9042, 500014, 9099, 9100, 9101, 9102, 190442, 190443}
MISCONFIGURED = {190300, 190303, 200001, 200003}
"""Clock, key, header, signature."""
REPLAYED = 190301
OF_THIS_CALL = 190313
"""A minute."""
TOO_MANY: Mapping[int, int] = {
    190310: MINUTE,  # all calls of a minute
    190311: HOUR,  # all calls of a day
    OF_THIS_CALL: MINUTE,
    500046: MINUTE,  # real-time data of one meeting, a minute
    9061: MINUTE,  # one meeting, too often
    9008: MINUTE,
    500029: HOUR,
    500168: HOUR,
}
OF_ALL_CALLS = {190310, 190311}
UNREGISTERED = 190001
INVALID = 190004
"""Some parameter: also an operator of a kind that the call does not take, or somebody who has left."""
STATES = {13602, 13603, 14151, 14152}
OVER = {13603, 14152}
"""Of these: it has ended."""
TRANSIENT = {41, 28, 960000, 20201, *range(13000, 13704)} - STATES
ON_BEHALF = {
    Endpoint.WAITING,
    Endpoint.INVITEES,
    Endpoint.END,
    Endpoint.SETTINGS,
    Endpoint.MUTE,
    Endpoint.REMOVE,
    Endpoint.CO_HOST,
    Endpoint.WAITING_ROOM,
    Endpoint.VIDEO,
    Endpoint.SHARING,
    Endpoint.NAMES,
    Endpoint.MOVE,
    Endpoint.CALL_OFF,
}
"""Calls in the name of whoever made the meeting, who may be unknown over there by now."""
OF_ENDPOINT: Mapping[tuple[Endpoint, int], type[ProviderError]] = {
    # whoever is unknown over there can have no meeting there
    (Endpoint.FIND, UNREGISTERED): NoSuchMeetingError,
    (Endpoint.OWN, UNREGISTERED): NoSuchMeetingError,
    (Endpoint.GET, UNREGISTERED): NoSuchMeetingError,
    **{(endpoint, UNREGISTERED): NotPermittedError for endpoint in ON_BEHALF},
    (Endpoint.INVITE, UNREGISTERED): NoSuchPersonError,
    (Endpoint.MAKE, UNREGISTERED): NoSuchPersonError,
    (Endpoint.MAKE, 500168): ProviderError,  # no more this month, whoever asks
    (Endpoint.INVITE, 500041): AwayError,
    (Endpoint.WAITING_ROOM, 9103): UnsupportedError,  # for the device of a meeting room
    (Endpoint.VIDEO, 9104): UnsupportedError,  # for this device
}
"""Codes that mean something else elsewhere, or nothing."""
ANOTHER_MAY = {*FORBIDDEN, UNREGISTERED, INVALID}
"""What is refused to one who acts may be granted to another."""


class RefusalError(Exception):
    """The cause of an error that came with a code: what was asked for was not done."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


def code_of(error: ProviderError) -> int | None:
    """None: no code came, so nobody knows what became of what was asked for."""
    return error.__cause__.code if isinstance(error.__cause__, RefusalError) else None


def to_error(endpoint: Endpoint, code: int, message: str) -> ProviderError:
    """The error of the port. What nobody documented may be different later: AwayError, never "there is none"."""
    text = f"{endpoint}: {code} {message[:200]}"
    if (endpoint, code) in OF_ENDPOINT:
        return OF_ENDPOINT[endpoint, code](text)
    if code in ABSENT:
        return NoSuchMeetingError(text)
    if code == CANCELLED:
        return CancelledError(text)
    if code in FORBIDDEN:
        return NotPermittedError(text)
    if code in STATES:
        return WrongStateError(text)
    if code in TOO_MANY:
        return RateLimitedError(text, TOO_MANY[code])
    return _ours_or_theirs(code, text)


def _ours_or_theirs(code: int, text: str) -> ProviderError:
    if code in MISCONFIGURED:
        log.error("the provider does not accept our requests: check clock, ids and keys: %d", code)
        return MisconfiguredError(text)
    if code in TRANSIENT or code in (0, REPLAYED):
        return AwayError(text)
    if code in (INVALID, 9093, 9098):
        return ProviderError(text)
    log.error("the provider answered what is not documented: %d", code)
    return AwayError(text)
