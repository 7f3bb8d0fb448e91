"""The rules page docs/rules.md, for those who book: made from a policy by `python -m services.policy.handbook`."""

import importlib.resources
from collections.abc import Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from services.policy.checks import read_document
from services.policy.document import DepartmentScope, Document, EffectName, Override, Rule
from services.policy.sentences import Sentence

PATH = Path(__file__).parents[2] / "docs" / "rules.md"
LANGUAGES = ("zh-CN", "en")

_WORDS = {
    "zh-CN": {
        "title": "预约规则",
        "intro": "每次预约都按下面的规则判断。答复会列出所有触发的规则、您的数字和解决办法。",
        "columns": "| 规则 | 内容 | 触发时 |",
        "ALLOW": "只作说明",
        "ESCALATE": "转技术支持",
        "REDIRECT": "请用个人免费版账号",
        "DENY": "不予预定",
        "NO_SHOW": "释放会议室",
        "precedence": "同时触发多条规则时，按此顺序取最先的结果：{effects}。",
        "counting": "“天”和“周”按 {zone} 的日历计算，一周从{week_start}开始。"
        "待审批、已确认、使用中、已结束、未参会的预约都计数；技术支持驳回或逾期未批的不计数。跨零点的会议算在开始的那一天。",
        "overrides": "以下部门或角色另有规定：",
        "scope": "| 部门 | 角色 | 规定 |",
        "below": "{department} 及其下级部门",
    },
    "en": {
        "title": "The rules",
        "intro": "Every request is judged by these rules. "
        "The answer names every rule that spoke, your own figures, and what helps.",
        "columns": "| rule | what it says | when it speaks |",
        "ALLOW": "for information",
        "ESCALATE": "support decides",
        "REDIRECT": "use the free personal account",
        "DENY": "refused",
        "NO_SHOW": "the room is released",
        "precedence": "When several speak, the first of these decides: {effects}.",
        "counting": "Days and weeks are those of the calendar in {zone}; a week begins on {week_start}. "
        "Reservations that are pending, confirmed, in use, completed or no-shows count; "
        "those that support declined or did not answer do not. A meeting over midnight counts on the day of its start.",
        "overrides": "Other numbers are in force for:",
        "scope": "| department | role | numbers |",
        "below": "{department} and all below it",
    },
}
_WEEK_DAYS = dict(
    zip(
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
        strict=True,
    )
)


def render(document: Document) -> str:
    parts = ["<!-- Made from the default policy by `python -m services.policy.handbook`; do not edit. -->"]
    for language in LANGUAGES:
        parts += _part(document, language)
    return "\n".join(parts) + "\n"


def _part(document: Document, language: str) -> Iterator[str]:
    words = _WORDS[language]
    yield from ("", f"# {words['title']}", "", words["intro"], "", words["columns"], "|---|---|---|")
    for rule in document.rules:
        yield f"| {rule.id} | {summary(document, rule, language)} | {words[_when_it_speaks(rule)]} |"
    effects: list[EffectName] = [effect for effect in document.precedence if effect != "ALLOW"]
    week_start = _WEEK_DAYS[document.week_start] if language == "zh-CN" else document.week_start.capitalize()
    yield from ("", words["precedence"].format(effects=" > ".join(words[effect] for effect in effects)))
    yield from ("", words["counting"].format(zone=document.zone, week_start=week_start))
    if document.overrides:
        yield from ("", words["overrides"], "", words["scope"], "|---|---|---|")
    for override in document.overrides:
        numbers = ", ".join(f"{name} = {value}" for name, value in override.thresholds.items())
        yield f"| {_department(override, words)} | {override.role or ''} | {numbers} |"


def _department(override: Override, words: Mapping[str, str]) -> str:
    department = override.department
    if not isinstance(department, DepartmentScope):
        return department or ""
    return words["below"].format(department=department.id) if department.below else department.id


def summary(document: Document, rule: Rule, language: str) -> str:
    """One rule in one sentence, with the numbers of everybody who has no other ones."""
    text = rule.summary.zh_cn if language == "zh-CN" else rule.summary.en
    numbers = {name: threshold.value for name, threshold in document.thresholds.items()}
    return Sentence(text, language, ZoneInfo(document.zone)).fill(numbers, 0)


def _when_it_speaks(rule: Rule) -> str:
    return "NO_SHOW" if "NO_SHOW" in rule.on else rule.effect


def default_document() -> Document:
    source = importlib.resources.files("services.policy") / "rules" / "default.yaml"
    return read_document(source.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PATH.write_text(render(default_document()), encoding="utf-8")
