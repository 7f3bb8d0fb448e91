"""Sentences for people: English in the code, Chinese in services/locales/; `message` marks what is to be translated.

`python -m tools.messages` extracts what is marked into the catalogue, which needs no compiling: it is read as it is.
"""

import gettext
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from services.platform.text.languages import CHINESE, ENGLISH, LOCALES

FOLDER = Path(__file__).parents[2] / "locales"


def catalog(language: str) -> Path:
    return FOLDER / LOCALES[language] / "LC_MESSAGES" / "yunhui.po"


class Text(str):
    """A sentence that is said later, in the language of whoever reads it: itself is the English one.

    `{name}` marks a value; among the values a Text is translated too, and a tuple is a list. `context`
    tells apart what is one word in English and two in Chinese.
    """

    context: str
    values: Mapping[str, object]

    def __new__(cls, text: str, context: str = "", values: Mapping[str, object] | None = None) -> "Text":
        made = super().__new__(cls, text)
        made.context, made.values = context, values or {}
        return made

    def to(self, language: str, /, **values: object) -> str:
        known = translations(language)
        text = known.gettext(self)
        given = {**self.values, **values}
        return text.format(**{name: _said(value, language) for name, value in given.items()}) if given else text


def _said(value: object, language: str) -> object:
    if isinstance(value, tuple):
        return pmessage("list", ", ").to(language).join(str(_said(each, language)) for each in value)
    return value.to(language) if isinstance(value, Text) else value


def message(text: str, /, **values: object) -> Text:
    return Text(text, "", values)


def pmessage(context: str, text: str, /, **values: object) -> Text:
    return Text(text, context, values)


@lru_cache
def translations(language: str) -> gettext.NullTranslations:
    """The library's own, as Jinja takes them."""
    if language == ENGLISH:
        return gettext.NullTranslations()
    with catalog(CHINESE).open("rb") as file:
        return Catalog(file)


class Catalog(gettext.GNUTranslations):
    """Reads PO where the library reads MO, in the way that it lets subclasses do so."""

    _catalog: dict[str | tuple[str, int], str]

    def gettext(self, message: str) -> str:
        """A Text keeps its context, also where a template says `_(text)`."""
        context = message.context if isinstance(message, Text) else ""
        return self.pgettext(context, str(message)) if context else super().gettext(message)

    def _parse(self, fp: Any) -> None:
        self._catalog = {}
        self.plural = lambda _: 0  # Chinese has one form
        for entry in _entries(fp.read().decode()):
            name = entry["msgid"]  # "" is the header
            if "msgctxt" in entry:
                name = self.CONTEXT % (entry["msgctxt"], name)
            if name and (said := entry.get("msgstr")):
                self._catalog[name] = said
            elif said := entry.get("msgstr[0]"):
                self._catalog[name, 0] = said


def _entries(text: str) -> Iterator[Mapping[str, str]]:
    """What stands behind each keyword; a string may go on over lines."""
    for block in text.split("\n\n"):
        entry: dict[str, str] = {}
        keyword = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            new, quote, rest = line.partition('"')
            keyword = new.strip() or keyword
            entry[keyword] = entry.get(keyword, "") + json.loads(quote + rest)
        if entry:
            yield entry
