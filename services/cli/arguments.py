"""What people type, read with care: every fault says what would be right."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import typer
from yunhui.booking.v1 import reservation_pb2 as pb

from services.cli import moments
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message

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
    return pb.ReservationState.Value(read_named(typed, pb.ReservationState.keys(), STATE_PREFIX))


def read_named(typed: str, names: Iterable[str], prefix: str) -> str:
    """'not-activated' as MEMBER_STATUS_NOT_ACTIVATED. `names` are those of an enum; the first says nothing."""
    known = {in_choices(name, prefix): name for name in list(names)[1:]}
    return known[read_choice(typed.lower().replace("_", "-"), tuple(known))]


def in_choices(name: str, prefix: str) -> str:
    """As people write it."""
    return name.removeprefix(prefix).lower().replace("_", "-")


def confirm(terminal: Terminal, question: Text, *, yes: bool, **values: Any) -> None:
    """Raises typer.Exit when it is not wanted, CommandError where nobody can be asked. `yes`: it is wanted."""
    if yes:
        return
    if terminal.json or not terminal.out.is_terminal:
        terminal.say(question, **values)
        raise CommandError(FailureReason.SAY_YES, ExitCode.USAGE)
    if not typer.confirm(terminal.text(question, **values), default=False):
        terminal.say(message("Nothing was changed."))
        raise typer.Exit(ExitCode.OK)
