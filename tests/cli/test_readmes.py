"""The Chinese README has all that the English one has, and both type what there is."""

import re
from pathlib import Path

import typer

from services.cli.commands import app

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))


def headings(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(text), re.MULTILINE)]


def blocks(text: str) -> list[list[str]]:
    """Without comments: those are translated."""
    found = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [[re.sub(r"\s+# .*", "", line) for line in block.splitlines()] for block in found]


def prose(text: str) -> str:
    return re.sub(r"^```\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def tables(text: str) -> list[tuple[int, int]]:
    """Rows and columns of each."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [(len(table.splitlines()), table.splitlines()[0].count("|") - 1) for table in found]


def links(text: str) -> list[str]:
    """Each page links to the other, and shows pictures in its language."""
    found = re.findall(r"\]\(([^)]*)\)", text)
    return sorted(link.replace(".zh-CN.light", ".en.light").replace(".zh-CN.dark", ".en.dark") for link in found)


def codes(text: str) -> set[str]:
    """What is typed, or set, within the text."""
    return set(re.findall(r"`([^`\n]*)`", prose(text)))


def test_both_have_the_same_structure() -> None:
    """Headings, blocks to be typed, tables, and links."""
    assert headings(CHINESE) == headings(ENGLISH)
    assert blocks(CHINESE) == blocks(ENGLISH)
    assert tables(CHINESE) == tables(ENGLISH)
    swapped = {"README.md": "README.zh-CN.md", "docs/provisioning.zh-CN.md": "docs/provisioning.md"}
    assert [swapped.get(link, link) for link in links(CHINESE)] == links(ENGLISH)


def test_both_name_the_same_commands_and_settings() -> None:
    """A variable or an option that one of them leaves out is kept from some."""
    named = re.compile(r"--[a-z-]+|\b[A-Z]{2,}_[A-Z_]+\b|\byunhui(?: [a-z]+)+")
    chinese, english = ({name for code in codes(text) for name in named.findall(code)} for text in (CHINESE, ENGLISH))
    assert chinese == english


def test_every_command_that_they_name_exists() -> None:
    """As far as its words go."""
    for line in [*codes(ENGLISH), *(line for block in blocks(ENGLISH) for line in block)]:
        words = re.match(r"(?:\.venv/bin/)?yunhui((?: [a-z]+)*)", line)
        command = typer.main.get_command(app)
        for word in words[1].split() if words else ():
            below = getattr(command, "commands", None)
            if below is None:
                break
            assert word in below, line
            command = below[word]
