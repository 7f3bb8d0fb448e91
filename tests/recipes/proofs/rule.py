"""A rule decides as its table says, agrees with the oracle, and is told where people read of rules."""

from pathlib import Path

from services.platform.text.languages import CHINESE
from services.policy import drafts
from services.policy.description import describe
from services.policy.handbook import default_document
from services.portal.policies import PolicyInForce
from tests.policy.samples import CASES, SOURCE
from tests.policy.test_oracle import test_decides_as_the_wording_says as test_the_oracle_agrees

__all__ = ["test_the_oracle_agrees"]
SENTENCE = "100 人及以上的会议须提前 2 小时申请。"


def test_it_can_be_published() -> None:
    """Its cases hold, and try both sides of its number."""
    said = drafts.validate(SOURCE, CASES)
    assert (said.valid, [*said.faults]) == (True, [])
    without = CASES.replace("a large meeting just in time", "another").replace("11:00:00}", "12:00:00}", 1)
    assert not drafts.validate(SOURCE, without).valid


def test_pages_command_and_handbook_tell_it() -> None:
    """They read GetPolicy's description."""
    policy = PolicyInForce(describe(default_document()))
    told = {rule.rule_id: policy.sentence(rule, CHINESE) for rule in policy.description.rules}
    assert told["LARGE_MEETING_NOTICE"] == SENTENCE
    assert SENTENCE in (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
