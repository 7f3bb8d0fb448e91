"""One catalogue for all programs: complete in both languages, read as Babel reads it; dates and durations in words."""

import ast
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message

from services.platform.text import times
from services.platform.text.languages import CHINESE, ENGLISH
from services.platform.text.messages import message, pmessage, translations
from tools import messages

CATALOG = messages.read()
ENTRIES = [entry for entry in CATALOG if entry.id]
HAN = re.compile(r"[\u4e00-\u9fff]")
PLACEHOLDER = re.compile(r"\{[^}]*\}|%\(\w+\)s")


def test_nothing_is_missing_and_nothing_is_left_over() -> None:
    """`python -m tools.messages` adds what is new, to be translated by hand."""
    assert list(messages.faults(messages.extract(), CATALOG)) == []


def planted(text: str, said: str, flags: Sequence[str] = ()) -> Catalog:
    catalog = messages.read()
    catalog[text] = Message(text, said, flags=flags)
    return catalog


@pytest.mark.parametrize(
    ("catalog", "fault"),
    [
        (planted("Room {id} is gone.", ""), "has no Chinese"),
        (planted("Room {id} is gone.", "会议室已不存在。"), "other values"),
        (planted("Room %(id)s is gone.", "会议室 %(name)s 已不存在。"), "other values"),
        (planted("Room {id} is gone.", "会议室 {id} 已不存在。", flags=["fuzzy"]), "fuzzy"),
        (planted("Room {id} is gone.", "会议室 {id} 已不存在。"), "nobody says it"),
    ],
)
def test_what_is_wrong_with_a_message_is_found(catalog: Catalog, fault: str) -> None:
    """What `make check` looks for, planted."""
    found = list(messages.faults(messages.extract(), catalog))
    assert any(fault in each and "gone" in each for each in found)


def test_a_message_that_only_code_has_is_found() -> None:
    wanted = messages.extract()
    wanted.add("Nobody has translated this.")
    assert list(messages.faults(wanted, CATALOG)) == ["not in the catalogue: 'Nobody has translated this.'"]


def marked() -> Iterator[tuple[str, ast.Call]]:
    """Every call that marks a message, as the compiler sees it."""
    for path in Path(messages.SERVICES).rglob("*.py"):
        source = path.read_text()
        calls = ast.walk(ast.parse(source)) if "from services.platform.text.messages import" in source else ()
        for node in calls:
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"message", "pmessage"}:
                yield f"{path.name}:{node.lineno}:{node.col_offset}", node


def test_everything_that_is_marked_is_extracted() -> None:
    """Babel passes over what is no literal, and over what stands within an f-string."""
    known = {(entry.context or "", entry.id) for entry in ENTRIES}
    calls = dict(marked())
    assert len(calls) > 500
    for place, call in calls.items():
        number = 1 + (getattr(call.func, "id", "") == "pmessage")
        texts = [each.value for each in call.args[:number] if isinstance(each, ast.Constant)]
        assert len(texts) == number, place
        assert (*[""] * (2 - number), *texts) in known, place


def test_chinese_is_chinese_and_english_is_not() -> None:
    """Nothing was left untranslated, or put into the wrong column."""
    assert [entry.id for entry in ENTRIES if HAN.search("".join(messages.forms(entry.id)))] == []
    said = [form for entry in ENTRIES for form in messages.forms(entry.string)]
    assert [form for form in said if re.search(r"[A-Za-z]", PLACEHOLDER.sub("", form)) and not HAN.search(form)] == []


def as_programs_read(entry: Message) -> str:
    known = translations(CHINESE)
    if isinstance(entry.id, tuple):
        return known.ngettext(entry.id[0], entry.id[1], 2)
    return known.pgettext(entry.context, str(entry.id)) if entry.context else known.gettext(str(entry.id))


def test_it_is_read_as_babel_reads_it() -> None:
    """The reader that programs start with is a few lines of ours."""
    assert len(ENTRIES) > 900
    assert {entry.id: [as_programs_read(entry)] for entry in ENTRIES} == {
        entry.id: messages.forms(entry.string) for entry in ENTRIES
    }
    assert translations(CHINESE).gettext("") == ""


def test_a_message_is_said_in_the_language_of_whoever_reads() -> None:
    """With its values, of which some are messages too; one word may need two in Chinese."""
    said = message("{text} ({note})", text="10:00", note=message("Beijing time"))
    assert (said.to(ENGLISH), said.to(CHINESE)) == ("10:00 (Beijing time)", "10:00（北京时间）")
    assert pmessage("state", "confirmed").to(CHINESE) != pmessage("event", "confirmed").to(CHINESE)
    assert message("no such sentence").to(CHINESE) == "no such sentence"


@pytest.mark.parametrize(
    ("seconds", "more", "chinese", "english"),
    [
        (5400, {}, "1 小时 30 分钟", "1 hour 30 minutes"),
        (0, {"smallest": "minute"}, "0 分钟", "0 minutes"),
        (90061, {"parts": 2}, "1 天 1 小时", "1 day 1 hour"),
        (59, {"smallest": "minute"}, "0 分钟", "0 minutes"),
        (-60, {}, "-1 分钟", "-1 minute"),
        (86400 * 35, {}, "35 天", "35 days"),
    ],
)
def test_durations(seconds: int, more: dict[str, object], chinese: str, english: str) -> None:
    length = timedelta(seconds=seconds)
    shown = [times.show_duration(length, language, **more) for language in (CHINESE, ENGLISH)]  # type: ignore[arg-type]
    assert shown == [chinese, english]


def test_a_template_keeps_the_context_of_a_message() -> None:
    """`_(text)`, where text is one that code marked."""
    denied = pmessage("event", "denied")
    assert translations(CHINESE).gettext(denied) == denied.to(CHINESE) != "denied"
    assert translations(ENGLISH).gettext(denied) == "denied"


def test_dates_and_zones() -> None:
    """With the year where it is wanted; in summer with summer's name of the zone."""
    day, noon = date(2025, 7, 8), datetime(2025, 7, 8, 12, tzinfo=UTC)
    assert times.show_date(day, CHINESE, year=True) == "2025年7月8日 周二"
    assert times.show_date(day, ENGLISH, year=False) == "Tue 8 Jul"
    assert times.show_iso_date(day, CHINESE) == "2025-07-08 周二"
    assert times.zone_name(times.PLATFORM_ZONE, noon, CHINESE) == "北京时间"
    assert times.zone_name(ZoneInfo("Europe/Berlin"), noon, ENGLISH) == "Central European Summer Time"
