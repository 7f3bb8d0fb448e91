"""One Chinese word for one thing, wherever people read: the glossary's table says which, and which not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = {".py", ".html", ".txt", ".po", ".yaml", ".md"}
"""Kinds of files in `services` in which people read something."""


def table() -> list[tuple[list[str], list[str]]]:
    """The words, and those that are not said."""
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    part = glossary.partition("## Words that people read in Chinese")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if "|" in line][2:]
    return [(re.split("[、；（）]", word), outlawed.split(", ")) for _, word, outlawed in rows]


def texts() -> dict[Path, str]:
    found = [path for path in (ROOT / "services").rglob("*") if path.suffix in READ]
    return {path: path.read_text(encoding="utf-8") for path in [*found, ROOT / "README.zh-CN.md"]}


def test_no_other_word_is_used_for_it() -> None:
    outlawed = [word for _, words in table() for word in words]
    assert len(outlawed) > 10
    found = {f"{path.relative_to(ROOT)}: {word}" for path, text in texts().items() for word in outlawed if word in text}
    assert found == set()


def test_each_word_is_in_use() -> None:
    """A table of words that nobody says would prove nothing."""
    everything = "".join(texts().values())
    assert [word for words, _ in table() for word in words if word and word not in everything] == []


def test_the_tutorials_words_stand_where_it_has_them() -> None:
    """Its menu, steps and buttons."""
    catalog = (ROOT / "services" / "locales" / "zh_CN" / "LC_MESSAGES" / "yunhui.po").read_text(encoding="utf-8")
    for word in ("预定会议", "步骤 1：查询会议详情", "查询", "确认预定", "我的预约", "取消预定"):
        assert f'msgstr "{word}"' in catalog, word
