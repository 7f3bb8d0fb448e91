"""What people type, read with care: every fault says what would be right."""

import re
from datetime import datetime, timedelta

from yunhui.booking.v1 import reservation_pb2 as pb

from services.cli import moments
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason

_ACCOUNT = re.compile(r"[A-Za-z0-9._-]{1,64}")
STATE_PREFIX = "RESERVATION_STATE_"


def read_moment(typed: str, now: datetime) -> datetime:
    """`now` is what "tomorrow" is counted from."""
    try:
        return moments.parse_moment(moments.name_day(typed, now))
    except ValueError as error:
        raise CommandError(FailureReason.BAD_TIME, ExitCode.USAGE, typed=typed, example=moments.EXAMPLE) from error


def read_duration(typed: str) -> timedelta:
    try:
        return moments.parse_duration(typed)
    except ValueError as error:
        raise CommandError(FailureReason.BAD_DURATION, ExitCode.USAGE, typed=typed) from error


def read_account(typed: str) -> str:
    if not _ACCOUNT.fullmatch(typed):
        raise CommandError(FailureReason.BAD_ACCOUNT, ExitCode.USAGE)
    return typed


def read_choice(typed: str, choices: tuple[str, ...]) -> str:
    if typed not in choices:
        raise CommandError(FailureReason.BAD_CHOICE, ExitCode.USAGE, typed=typed, choices=", ".join(choices))
    return typed


def read_state(typed: str) -> pb.ReservationState.ValueType:
    """'confirmed', 'no-show', as people write them."""
    known = {name.removeprefix(STATE_PREFIX).lower().replace("_", "-"): name for name in pb.ReservationState.keys()[1:]}
    return pb.ReservationState.Value(known[read_choice(typed.lower().replace("_", "-"), tuple(known))])
