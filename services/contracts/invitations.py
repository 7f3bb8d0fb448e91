"""The number of a meeting in whatever people paste: the number, a line of the invitation, all of it, or a link.

Invitations name the number at several places and hold other numbers besides: dates, passwords, telephones. The places
are looked at in the order of how surely they mean it; the first at which there is a number says which.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from services.platform.serving import errors
from services.platform.text.messages import Text, message

LONGEST = 5_000
"""Characters. The longest invitations, with a telephone number for each country, have some 2,000."""

_BARE = re.compile(r"\d{9,10}", re.ASCII)
_NUMBER = r"(\d(?:[ -]{0,3}\d){8,9})(?![ -]?\d)"
_NAME = r"(?:会议\s*ID|会议号码?|会议代码|入会号|Meeting (?:ID|number|code|No\.?))"
_NAMED = rf"{_NAME}\s{{0,3}}(?:\([^()]{{0,20}}\)\s{{0,3}})?[:#]?"
_BRAND = r"(?:腾讯会议|Tencent Meeting|VooV Meeting)\s{0,3}:"
_LABELLED = re.compile(rf"(?:{_NAMED}|{_BRAND})\s{{0,3}}#?{_NUMBER}", re.ASCII | re.IGNORECASE)
_LINKED = re.compile(r"(?:(?:tencent|voovmeeting)\.com/p/|meeting_?code=)(\d{9,10})(?!\d)", re.ASCII | re.IGNORECASE)
_DIALLED = re.compile(r"\+\d{6,15}(?:,+\d)?,+(\d{9,10})#", re.ASCII)

_DATE = re.compile(r"\d{4}([-/.年])\d{1,2}[-/.月]\d{1,2}日?", re.ASCII)
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?", re.ASCII)
_SECRET = re.compile(r"(?:密码|密钥|password|passcode|host key)\s{0,3}[:#]?\s{0,3}\d{4,6}", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"(?<![\w.-])(?:[a-z]+://|(?:[\w-]+\.)+[a-z]{2,}/)[\w./?=&%+~-]+", re.ASCII | re.IGNORECASE)
_TELEPHONE = re.compile(r"\+\d[\d,#-]*(?: \d{3,4}(?!\d))*", re.ASCII)
_RUN = re.compile(r"\d(?:[ -]*\d)*", re.ASCII)
_GROUPED = re.compile(r"(?<!\d)(?:\d{3}-\d{3}-\d{3,4}|\d{3} \d{3} \d{3,4}|\d{9,10})(?!\d)", re.ASCII)
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘－"), "-")


def numbers(text: str) -> list[str]:
    """Each number that the text may mean, without its hyphens: none, the one, or several that are as likely."""
    if _BARE.fullmatch(text):  # as most programs give it
        return [text]
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).translate(_DASHES)
    plain = "".join(each for each in plain if unicodedata.category(each) != "Cf")  # marks that nobody sees
    plain = _without(plain, _DATE, _TIME, _SECRET)
    return next(filter(None, (find(plain) for find in _PLACES)), [])


def meeting_code(given: str) -> str:
    """The 9 or 10 digits of the one meeting that is meant. Raises errors.RpcError naming meeting_code."""
    found = numbers(given) if len(given) <= LONGEST else []
    if len(found) == 1:
        return found[0]
    if found:
        raise errors.invalid("meeting_code", several(found))
    raise errors.invalid(
        "meeting_code",
        message("must be the 9 or 10 digits of one meeting, for example 123-456-789"),
    )


def several(found: Iterable[str]) -> Text:
    told = tuple(dashed(each) for each in found)
    return message("holds the numbers of several meetings, {told}: give one of them", told=told)


def dashed(code: str) -> str:
    """123456789 is 123-456-789, as the meeting client shows it."""
    return "-".join((code[:3], code[3:6], code[6:])) if len(code) in (9, 10) else code


def _matches(pattern: re.Pattern[str]) -> Callable[[str], list[str]]:
    return lambda text: _distinct(pattern.findall(text))


def _alone(text: str) -> list[str]:
    """Numbers that nothing is said about."""
    runs = _RUN.findall(_without(text, _ADDRESS, _TELEPHONE))
    return _distinct(each for run in runs for each in _split(run))


def _split(run: str) -> list[str]:
    """Digits with blanks and hyphens between them are one number, unless they are too many."""
    return [run] if len(re.sub(r"\D", "", run)) in (9, 10) else _GROUPED.findall(run)


def _without(text: str, *patterns: re.Pattern[str]) -> str:
    """What is surely something else, put out of the way: digits beside it are not of one number with those after it."""
    for pattern in patterns:
        text = pattern.sub("|", text)
    return text


def _distinct(written: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(re.sub(r"\D", "", each) for each in written))


_PLACES = (_matches(_LABELLED), _matches(_LINKED), _matches(_DIALLED), _alone)
