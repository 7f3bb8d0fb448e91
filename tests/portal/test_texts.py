"""Both languages are complete: every message id has a translation with the same values in it."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from services.policy.description import describe
from services.policy.handbook import default_document, summary
from services.portal import policies
from services.portal.times import CHINESE, ENGLISH
from tools import messages

VALUES = re.compile(r"%\(\w+\)s")


@pytest.mark.parametrize("path", list(messages.catalogs()), ids=lambda path: path.parent.name)
def test_nothing_is_missing_and_nothing_is_left_over(path: Path) -> None:
    """`python -m tools.messages` adds what is new, to be translated by hand."""
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.parent.name)
    wanted = {each.id for each in messages.extract() if each.id}
    have = {each.id for each in catalog if each.id}
    assert wanted == have
    assert [each.id for each in catalog if each.id and not is_complete(each)] == []


def is_complete(entry: Message) -> bool:
    wanted = values(each(entry.id)[-1])
    return all(text and values(text) == wanted for text in each(entry.string))


def each(text: object) -> list[str]:
    """A plural has several forms."""
    return [str(form) for form in text] if isinstance(text, list | tuple) else [str(text)]


def values(text: str) -> set[str]:
    return set(VALUES.findall(text))


@pytest.mark.parametrize("language", [CHINESE, ENGLISH])
def test_rules_are_worded_as_in_the_handbook(language: str) -> None:
    """The policy's own sentences, with the same figures in them."""
    document = default_document()
    policy = policies.Policy(describe(document))
    worded = {rule.rule_id: policy.sentence(rule, language) for rule in policy.description.rules}
    assert worded == {rule.id: summary(document, rule, language) for rule in document.rules}
