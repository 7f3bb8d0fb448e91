"""Recurrence rules of RFC 5545: which times a series asks for."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from services.platform.clock import SECOND
from services.platform.serving import errors
from services.platform.text.messages import Text, message

MOST = 60
LONGEST = 200

# With other parts a rule can be written that has no occurrence, and the search for the first would take minutes.
_PARTS = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY",
    "INTERVAL": r"[1-9]|[12]\d|3[01]",
    "COUNT": r"\d{1,3}",
    "UNTIL": r"\d{8}T\d{6}Z",
    "BYDAY": r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)(,([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU))*",
    "BYMONTHDAY": r"-?([1-9]|[12]\d|3[01])(,-?([1-9]|[12]\d|3[01]))*",
    "WKST": r"MO|TU|WE|TH|FR|SA|SU",
}
_RULE = "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=4"


def occurrences(rule: str, zone_name: str, start: int) -> list[int]:
    """The starts, epoch ms, the first of which is `start`. Raises errors.RpcError naming the field."""
    from dateutil.rrule import rrulestr  # 1.6 MB, for the few who ask for a series

    zone = time_zone(zone_name)
    parts = read_parts(rule)
    first = datetime.fromtimestamp(start // SECOND, zone)
    try:
        found = list(islice(rrulestr(";".join(parts), dtstart=first), MOST + 1))
    except (ValueError, OverflowError) as error:
        raise _wrong(message("is not understood")) from error
    if len(found) > MOST:
        raise errors.invalid(
            "recurrence_rule",
            message("has more than {limit} occurrences: give a smaller COUNT or UNTIL", limit=MOST),
        )
    if not found or found[0].replace(tzinfo=None) != first.replace(tzinfo=None, fold=0):
        raise errors.invalid("recurrence_rule", message("does not fall on the start_time of the first occurrence"))
    # the first as it was given: in the hour that comes twice, the rule alone does not know which
    return [start, *(int(each.astimezone(UTC).timestamp()) * SECOND for each in found[1:])]


def time_zone(name: str, field: str = "time_zone") -> ZoneInfo:
    """Raises errors.RpcError naming the field."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise errors.invalid(field, message("must be an IANA zone, for example Asia/Shanghai")) from error


def _wrong(why: Text) -> errors.RpcError:
    return errors.invalid("recurrence_rule", message("{why}: for example {rule}", why=why, rule=_RULE))


def read_parts(rule: str) -> list[str]:
    """The parts, checked one by one and for what they must not be together."""
    given = rule.strip().upper().removeprefix("RRULE:")
    if len(given) > LONGEST:
        raise errors.invalid("recurrence_rule", message("must be at most {limit} characters", limit=LONGEST))
    parts = [part for part in given.split(";") if part]
    values: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name in values or not re.fullmatch(_PARTS.get(name, r"(?!)"), value, re.ASCII):
            raise _wrong(message("{part!r} is not understood", part=part))
        values[name] = value
    if "FREQ" not in values or ("COUNT" in values) == ("UNTIL" in values):
        raise _wrong(message("needs FREQ, and either COUNT or UNTIL"))
    if contradicts(values):
        raise _wrong(message("these parts cannot stand together"))
    return parts


def contradicts(values: Mapping[str, str]) -> bool:
    monthly = values["FREQ"] == "MONTHLY"
    by_day, by_month_day = values.get("BYDAY", ""), "BYMONTHDAY" in values
    ordinal = any(character.isdigit() for character in by_day)
    skips_days = values["FREQ"] == "DAILY" and "INTERVAL" in values
    return ((ordinal or by_month_day) and not monthly) or (bool(by_day) and (by_month_day or skips_days))
