"""docs/portal.md: the pictures by page, what axe found, and the story."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("zh-CN", "en")
THEMES = ("light", "dark")
PHONE = ("number", "meeting", "making", "reservation", "members", "import", "meeting-running", "my-meetings")
IMPACTS = ("critical", "serious", "moderate", "minor")
HEAD = """# The portal in pictures

Made by `make pictures` (`tests/portal/pages/screenshots.py`, in Chromium) from a real `yunhui up`: run it again after a
page has changed, and look at what came out. People and meetings are invented.
"""

Findings = Mapping[tuple[str, str, str], Counter[str]]
Stills = Sequence[tuple[str, str]]
"""File name and caption of each picture of a story."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """`titles` and `stories` by language."""

    titles: Mapping[str, Mapping[str, str]]
    findings: Findings
    stories: Mapping[str, Stills]


def write(gallery: Gallery, path: Path) -> None:
    parts = (HEAD, "\n".join(_pages(gallery)), "\n".join(_phone()), _stories(gallery), "\n".join(_findings(gallery)))
    path.write_text("\n".join(parts), encoding="utf-8")


def _pages(gallery: Gallery) -> Iterator[str]:
    for name, title in gallery.titles.items():
        yield f"## {title['en']} · {title['zh-CN']}\n"
        yield "| light | dark |\n|---|---|"
        for language in LANGUAGES:
            pictures = (_picture(f"{name}.{language}.{theme}.webp", title[language]) for theme in THEMES)
            yield f"| {' | '.join(pictures)} |"
        yield ""


def _phone() -> Iterator[str]:
    yield "## On a phone of 360 px · 手机\n"
    columns = [f"{name}.{language}" for language in LANGUAGES for name in PHONE]
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    yield f"| {' | '.join(_picture(f'{each}.phone.webp', each) for each in columns)} |\n"


def _stories(gallery: Gallery) -> str:
    """What is told in both languages, side by side."""
    lines = ["## The tutorial as a story · 教程全过程\n", "Pictures that the browser takes while it plays it.\n"]
    lines += ["| | 中文 | English |", "|---|---|---|"]
    for number, stills in enumerate(zip(*(gallery.stories[each] for each in LANGUAGES), strict=True), 1):
        cells = (f"{_picture(file, caption)}<br>{caption}" for file, caption in stills)
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _findings(gallery: Gallery) -> Iterator[str]:
    yield "## What axe says\n"
    yield "Rules of WCAG 2.2 A and AA, and axe's own best practices. Places: critical / serious / moderate / minor.\n"
    columns = [(language, theme) for language in LANGUAGES for theme in THEMES]
    yield f"| page | {' | '.join(f'{language} {theme}' for language, theme in columns)} |\n|---|{'---|' * len(columns)}"
    for name in gallery.titles:
        yield f"| {name} | {' | '.join(_counts(gallery.findings[name, *column]) for column in columns)} |"
    yield ""


def _counts(found: Counter[str]) -> str:
    return " / ".join(str(found[impact]) for impact in IMPACTS)


def _picture(file: str, text: str) -> str:
    return f"![{text}](portal/{file})"
