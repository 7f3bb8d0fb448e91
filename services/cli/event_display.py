"""Events as people read and choose them: their names in words, filters by subject, one line each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.cells import cell_len

from services.cli import moments, words
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.contracts import event_names
from services.installation.registry import EVENT_STREAMS
from services.platform.text.messages import Text

PREFIX = "yunhui."
EVERYTHING = "yunhui.>"
NAMES: Mapping[str, Text] = {subject: event.name for subject, event in event_names.NAMES.items()}
"""One line for each event type; a type that is not here is shown by its subject."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is shown; empty is any. `since` is compared with the time that an event is dated with."""

    account: str = ""
    reservation: str = ""
    since: datetime | None = None

    def includes(self, headers: Mapping[str, str], payload: Mapping[str, Any]) -> bool:
        return (
            self.account in ("", account_of(payload))
            and self.reservation in ("", reservation_of(payload))
            and (self.since is None or (time_of(headers) or self.since) >= self.since)
        )


def subjects(typed: str) -> dict[str, str]:
    """Stream -> the subject there. 'reservation.*' is short for 'yunhui.*.reservation.*'. Raises CommandError."""
    pattern = typed if typed.startswith(PREFIX) else f"{PREFIX}*.{typed}"
    if not any(matches(pattern, subject) for subject in NAMES) and pattern not in _whole_streams():
        choices = dict.fromkeys(f"{subject.split('.')[2]}.*" for subject in NAMES)
        raise CommandError(
            FailureReason.BAD_FILTER, ExitCode.USAGE, typed=typed, choices=", ".join([*choices, EVERYTHING])
        )
    return {stream: narrowed for owner, stream in EVENT_STREAMS.items() if (narrowed := _narrow(pattern, owner))}


def _whole_streams() -> set[str]:
    return {f"{PREFIX}{owner}.>" for owner in EVENT_STREAMS}


def _narrow(pattern: str, owner: str) -> str:
    """The part of a pattern that lies with one owner; empty when there is none."""
    if pattern == EVERYTHING:
        return f"{PREFIX}{owner}.>"
    _, first, *rest = pattern.split(".")
    return ".".join([PREFIX + owner, *rest]) if first in ("*", owner) else ""


def matches(pattern: str, subject: str) -> bool:
    """As NATS matches: * is one token, > is the rest, at least one."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1] if len(given) >= len(wanted) else []
    return len(wanted) == len(given) and all(one in ("*", other) for one, other in zip(wanted, given, strict=True))


def account_of(payload: Mapping[str, Any]) -> str:
    named = [_record(payload).get("organizer"), *(payload.get(each) for each in ("account", "delivery", "member"))]
    return str(next(filter(None, named), payload).get("accountId", ""))


def reservation_of(payload: Mapping[str, Any]) -> str:
    return str((payload.get("delivery") or _record(payload)).get("reservationId", ""))


def time_of(headers: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromisoformat(headers["ce-time"])
    except (KeyError, ValueError):
        return None


def to_line(terminal: Terminal, subject: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> str:
    """When, what, whose, which reservation, about what, by which rules."""
    time = time_of(headers)
    name = terminal.text(NAMES[subject]) if subject in NAMES else subject.removeprefix(PREFIX)
    rules = ",".join(rule.get("ruleId", "") for rule in (payload.get("decision") or {}).get("rules", ()))
    when = moments.show_second(time, terminal.language) if time else "–"
    columns = (padded(when, 23), padded(name, 20), padded(account_of(payload), 12))
    rest = (reservation_of(payload), about(payload, terminal.language), rules)
    return "  ".join(filter(None, [*columns, *rest])).rstrip()


def about(payload: Mapping[str, Any], language: str) -> str:
    """The subject of a meeting, or its number; the kind of a notice; a department; or a version and its note."""
    version, notice = payload.get("policy") or {}, (payload.get("delivery") or {}).get("kind", "")
    said = " ".join(filter(None, [version.get("version"), version.get("note")]))
    department = (payload.get("department") or {}).get("path", "")
    known = (_record(payload).get("subject"), payload.get("meetingCode"), words.notice(notice, language), department)
    return str(next(filter(None, known), said))


def padded(text: str, width: int) -> str:
    """In columns of a terminal: a Chinese character takes two."""
    return text + " " * (width - cell_len(text))


def _record(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = payload.get("reservation") or payload.get("request") or {}
    return found
