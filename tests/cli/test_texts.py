"""Every sentence exists in both languages, with the same values, and somebody says it."""

import re
import string
from pathlib import Path

import pytest

from services.cli import texts
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
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


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


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh-CN"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C.UTF-8"}, "zh-CN"),
        ({}, "zh-CN"),
    ],
)
def test_the_environment_chooses_the_language(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    """LC_ALL before LC_MESSAGES before LANG."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert texts.environment_language() == expected


def test_no_name_is_given_twice() -> None:
    """The later sentence would silently replace the earlier one."""
    names = re.findall(r"^([A-Z_]+) = Text\(", Path(texts.__file__).read_text(), re.MULTILINE)
    assert len(names) == len(set(names))
