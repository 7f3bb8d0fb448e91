"""Every sentence exists in both languages, with the same values, and somebody says it."""

import re
import string
from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli import texts
from services.cli.commands import app
from services.cli.texts import Text

TABLE = {name: value for name, value in vars(texts).items() if isinstance(value, Text)}
SOURCES = [path for path in Path(texts.__file__).parent.glob("*.py") if path.name != "texts.py"]


@pytest.mark.parametrize("name", TABLE)
def test_both_languages_say_it_with_the_same_values(name: str) -> None:
    """A value that one language leaves out is a fact withheld from some."""
    text = TABLE[name]
    assert text.zh.strip()
    assert text.en.strip()
    assert placeholders(text.zh) == placeholders(text.en)


def placeholders(template: str) -> set[str]:
    return {f"{name}:{words}" for _, name, words, _ in string.Formatter().parse(template) if name}


def hinted() -> list[str]:
    """The commands that sentences name, without their name."""
    pieces = (piece for text in TABLE.values() for piece in string.Formatter().parse(text.en))
    return sorted({str(words) for _, name, words, _ in pieces if name == "yunhui" and words})


@pytest.mark.parametrize("words", hinted())
def test_a_command_that_is_hinted_at_exists(words: str) -> None:
    """With its options: what is said must be typed as it stands."""
    found: Any = typer.main.get_command(app)
    for word in words.split():
        if word.startswith("--"):
            assert word in [option for parameter in found.params for option in parameter.opts], word
        elif hasattr(found, "commands"):
            found = found.commands[word]


def test_no_sentence_names_the_command_bare() -> None:
    """`yunhui` may not be on the PATH: {yunhui} says how it is typed here."""
    bare = re.compile(r"(?<![.{/\w])yunhui (?!是)[a-z-]")
    assert [name for name, text in TABLE.items() if bare.search(text.zh) or bare.search(text.en)] == []


def test_every_sentence_is_used() -> None:
    """A sentence that nobody says goes out of date unseen."""
    used = {name for path in SOURCES for name in re.findall(r"\btexts\.([A-Z_]+)", path.read_text())}
    assert sorted(set(TABLE) - used) == []


@pytest.mark.parametrize("name", TABLE)
def test_chinese_is_chinese_and_english_is_not(name: str) -> None:
    """Nothing was left untranslated, or put into the wrong column."""
    text = TABLE[name]
    assert not re.search(r"[\u4e00-\u9fff]", text.en)
    words = re.sub(r"\{\w+\}", "", text.zh)
    assert re.search(r"[\u4e00-\u9fff]", words) or not re.search(r"[A-Za-z]", words)


def test_no_name_is_given_twice() -> None:
    """The later sentence would silently replace the earlier one."""
    names = re.findall(r"^([A-Z_]+) = Text\(", Path(texts.__file__).read_text(), re.MULTILINE)
    assert len(names) == len(set(names))
