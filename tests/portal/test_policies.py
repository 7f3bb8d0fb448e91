"""What the portal makes of the policy: by what is measured and counted, never by a rule's or a number's name."""

import re
from pathlib import Path
from typing import get_args

import pytest

from services.cli import story
from services.policy.checks import read_document
from services.policy.description import describe
from services.policy.document import MeasureName
from services.policy.handbook import default_document
from services.portal import app
from services.portal.policies import Bounds, PolicyInForce
from tests.policy.samples import SOURCE

PORTAL, CLI = Path(app.__file__).parent, Path(story.__file__).parent
DEFAULT = Bounds(soonest=1800, days=7, shortest=2400, fewest=2, large=100)


def bounds(*changes: tuple[str, str], own: dict[str, int] | None = None) -> Bounds:
    source = SOURCE
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    return PolicyInForce(describe(read_document(source))).bounds(own or {})


def test_the_bounds_of_the_rules_as_delivered() -> None:
    assert bounds() == DEFAULT


def test_other_names_of_numbers_change_nothing() -> None:
    names = ("booking_horizon_days", "booking_cutoff_seconds", "small_meeting_people", "large_meeting_people")
    assert bounds(*((name, f"our_{name}") for name in names)) == DEFAULT


def test_an_account_has_its_own_numbers() -> None:
    own = {"booking_horizon_days": 14, "large_meeting_people": 200}
    assert bounds(own=own) == Bounds(soonest=1800, days=14, shortest=2400, fewest=2, large=200)


@pytest.mark.parametrize(
    ("rule", "operator", "field", "value"),
    [
        ("op: less_than, threshold: booking_cutoff_seconds}\n        - {fact: extends", "at_most", "soonest", 1801),
        ("op: more_than, threshold: booking_horizon_days", "at_least", "days", 6),
        ("op: at_most, threshold: small_meeting_seconds", "less_than", "shortest", 2399),
        ("op: at_most, threshold: small_meeting_people", "less_than", "fewest", 1),
        ("op: at_least, threshold: large_meeting_people}\n    effect: ESCALATE", "more_than", "large", 101),
    ],
)
def test_bounds_at_their_edges(rule: str, operator: str, field: str, value: int) -> None:
    changed = re.sub("op: [a-z_]+", f"op: {operator}", rule, count=1)
    assert getattr(bounds((rule, changed)), field) == value


def test_a_policy_without_such_rules_forbids_nothing() -> None:
    document = default_document()
    bare = document.model_copy(update={"rules": [rule for rule in document.rules if rule.id == "DAILY_QUOTA"]})
    assert PolicyInForce(describe(bare)).bounds({}) == Bounds(soonest=0, days=None, shortest=0, fewest=0, large=0)


def test_no_page_and_no_command_knows_a_rule_or_a_number_by_name() -> None:
    """What an administrator renames would there silently forbid nothing. The demo plays the rules as delivered."""
    document = default_document()
    names = {*document.thresholds, *document.facts, *(rule.id for rule in document.rules)}
    names -= {"start_time", "NO_SHOW", *get_args(MeasureName)}  # words of the contracts
    word = re.compile(rf"\b(?:{'|'.join(names)})\b")
    files = [*PORTAL.rglob("*.py"), *PORTAL.rglob("*.html"), *CLI.rglob("*.py")]
    found = {f"{path.name}: {match[0]}" for path in files for match in word.finditer(path.read_text(encoding="utf-8"))}
    assert {each for each in found if not each.startswith("story.py")} == set()
