"""Figures in the sentences, the way each language writes them."""

from zoneinfo import ZoneInfo

import pytest

from services.policy.sentences import Sentence, duration
from tests.policy.samples import moment


def fill(text: str, language: str, **figures: int) -> str:
    return Sentence(text, language, ZoneInfo("Asia/Shanghai")).fill(figures, 2025)


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0, "0 秒", "0 seconds"),
        (1, "1 秒", "1 second"),
        (1800, "30 分钟", "30 minutes"),
        (2401, "40 分钟 1 秒", "40 minutes 1 second"),
        (3600, "1 小时", "1 hour"),
        (604800, "7 天", "7 days"),
        (90061, "1 天 1 小时 1 分钟 1 秒", "1 day 1 hour 1 minute 1 second"),
        (-60, "-1 分钟", "-1 minute"),
    ],
)
def test_durations(seconds: int, zh: str, en: str) -> None:
    assert (duration(seconds, "zh-CN"), duration(seconds, "en")) == (zh, en)


@pytest.mark.parametrize(
    ("when", "zh", "en"),
    [
        ("2025-07-07 09:05", "7 月 7 日|7 月 7 日 09:05", "7 July|7 July 09:05"),
        ("2025-07-07 23:59:01", "7 月 7 日|7 月 7 日 23:59:01", "7 July|7 July 23:59:01"),
        ("2026-01-02 00:00", "2026 年 1 月 2 日|2026 年 1 月 2 日 00:00", "2 January 2026|2 January 2026 00:00"),
    ],
)
def test_moments_stand_in_the_platform_zone_with_the_year_when_it_is_another(when: str, zh: str, en: str) -> None:
    seconds = moment(when).seconds
    assert fill("{t:day}|{t:moment}", "zh-CN", t=seconds) == zh
    assert fill("{t:day}|{t:moment}", "en", t=seconds) == en


def test_nouns_follow_the_number() -> None:
    assert [fill("{n:plural person people}", "en", n=n) for n in (0, 1, 2)] == ["0 people", "1 person", "2 people"]


@pytest.mark.parametrize("text", ["{", "}", "{a", "a}", "{{a}}", "{a:b}", "{a:plural one}", "{a:day b}", "{a:>10}"])
def test_a_template_that_cannot_be_filled_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"brace|no way"):
        Sentence(text, "en", ZoneInfo("UTC"))


def test_nothing_in_a_template_is_looked_up_beyond_the_figures() -> None:
    with pytest.raises(KeyError):
        fill("{a.__class__}", "en", a=1)
