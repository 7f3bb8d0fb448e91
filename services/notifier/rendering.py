"""Wording templates to text and HTML: each says its sentences once, two layouts show them."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, select_autoescape

from services.notifier.wording import Meter
from services.platform.text.templates import create_environment

Tone = Literal["good", "waiting", "bad", "quiet"]
SEPARATOR = " :: "
LABEL_COLUMNS = 14


@dataclass(frozen=True, slots=True)
class Section:
    """Everything one mail says in one language, still as plain text."""

    language: str
    subject: str
    heading: str
    lead: str
    rows: list[tuple[str, str]]
    meters: Sequence[Meter]
    meter_label: str
    paragraphs: list[str]
    actions: list[tuple[str, str]]
    calendar: str
    footer: str
    entries: "Sequence[Section]" = ()
    """What a mail lists: each with heading, rows and actions."""


@lru_cache
def environment(language: str) -> Environment:
    """Escapes in *.html; wording and *.txt stay text until a layout shows them."""
    made = create_environment(
        PackageLoader("services.notifier"),
        language,
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        keep_trailing_newline=True,
        auto_reload=False,  # it would ask the file system about every template of every mail
    )
    made.filters["pad"] = pad
    made.tests["overlong"] = lambda label: columns(label) >= LABEL_COLUMNS
    return made


def section(
    language: str,
    kind: str,
    values: Mapping[str, Any],
    meters: Sequence[Meter] = (),
    entries: Sequence[Section] = (),
) -> Section:
    """Fills the wording <kind>.txt. A block that the wording leaves out is empty."""
    wording = _Wording(language, kind, values)
    meter_label, footer = _footer(language, bool(values["support"]))
    return Section(
        language=language,
        subject=wording.line("subject"),
        heading=wording.line("heading"),
        lead=wording.line("lead"),
        rows=wording.pairs("rows"),
        meters=meters,
        meter_label=meter_label,
        paragraphs=wording.paragraphs("body"),
        actions=wording.pairs("actions"),
        calendar="\n".join(wording.paragraphs("calendar")),
        footer=footer,
        entries=entries,
    )


@lru_cache
def _footer(language: str, support: bool) -> tuple[str, str]:
    """The words that all mails share: over the quotas, and at the end, by whether a reply reaches anybody."""
    wording = _Wording(language, "footer", {"support": support})
    return wording.line("meter_label"), wording.line("footer")


class _Wording:
    """One wording template, block by block. Values hold no line break and no tab, so they cannot make up rows."""

    def __init__(self, language: str, kind: str, values: Mapping[str, Any]) -> None:
        self._template = environment(language).get_template(f"{kind}.txt")
        self._context = self._template.new_context(dict(values))

    def paragraphs(self, block: str) -> list[str]:
        if block not in self._template.blocks:
            return []
        filled = "".join(self._template.blocks[block](self._context))
        return [line.strip() for line in filled.splitlines() if line.strip()]

    def line(self, block: str) -> str:
        return " ".join(self.paragraphs(block))

    def pairs(self, block: str) -> list[tuple[str, str]]:
        split = (line.partition(SEPARATOR) for line in self.paragraphs(block))
        return [(label, value) for label, _, value in split]


def as_text(sections: Sequence[Section]) -> str:
    return environment(sections[0].language).get_template("layout.txt").render(sections=sections)


def as_html(sections: Sequence[Section], tone: Tone) -> str:
    return environment(sections[0].language).get_template("layout.html").render(sections=sections, tone=tone)


def columns(text: str) -> int:
    """Columns that a terminal needs: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def pad(text: str) -> str:
    return text + " " * (LABEL_COLUMNS - columns(text))
