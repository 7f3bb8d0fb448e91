"""The rules as an administrator steers them, on the running programs."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from services.policy import versions
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system

RULES = Path(versions.__file__).parent / "rules"
SOURCE, TESTS = ((RULES / name).read_text() for name in ("default.yaml", "default.test.yaml"))


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """Five a day instead of three for the department of the sample accounts, with the cases that hold it there."""
    rules = tmp_path / "draft.yaml"
    rules.write_text(f"{SOURCE}\noverrides:\n  - {{department: sample, thresholds: {{daily_quota: 5}}}}\n")
    case = """
  - name: sample, {times} that day
    given: {{reservations: [{{start: 2025-07-08 14:00, times: {times}}}]}}
    ask: {{department: sample}}
    expect: {{effect: {effect}, rules: [{rules}]}}
"""
    cases = [case.format(times=4, effect="ALLOW", rules=""), case.format(times=5, effect="DENY", rules="DAILY_QUOTA")]
    rules.with_suffix(".test.yaml").write_text(TESTS + "".join(cases))
    return rules


def test_the_rules_as_delivered_pass_their_table(stack: Stack) -> None:
    said = stack.yunhui("policy", "test", str(RULES / "default.yaml"), "--json")
    assert (said.code, said.answer["valid"]) == (0, True)
    assert len(said.answer["tests"]) >= 50


def test_a_draft_that_fails_its_table_cannot_be_published(stack: Stack, tmp_path: Path) -> None:
    rules = tmp_path / "loose.yaml"
    rules.write_text(SOURCE.replace("daily_quota: {value: 3,", "daily_quota: {value: 30,"))
    rules.with_suffix(".test.yaml").write_text(TESTS)
    assert stack.yunhui("policy", "test", str(rules)).code == 1
    said = stack.login("admin").yunhui("policy", "publish", str(rules), "--note", "try", "--lang", "en")
    assert said.code == 1
    assert "not published" in json.loads(said.err)["error"]["message"]
    assert "the fourth reservation of a day" in json.loads(said.err)["error"]["message"]


def test_only_an_admin_publishes(stack: Stack) -> None:
    said = stack.login("support").yunhui("policy", "publish", str(RULES / "default.yaml"), "--note", "try")
    assert json.loads(said.err)["error"]["code"] == "PERMISSION_DENIED"


def test_publish_decide_explain_simulate_and_go_back(stack: Stack, draft: Path) -> None:
    """The whole round, on one account that wants four rooms on one day."""
    admin, booker = stack.login("admin"), stack.login("booker", "policy-booker")
    starts = [f"2025-07-10 {hour}:00" for hour in ("09", "11", "13", "15")]
    answers = [booker.reserve(start).answer for start in starts]
    assert [answer["outcome"] for answer in answers] == ["OUTCOME_CONFIRMED"] * 3 + ["OUTCOME_DENIED"]
    assert len(answers[3]["alternatives"]) == 3
    assert answers[3]["decision"]["rules"][0]["remedy"]["changes"][0]["field"] == "start_time"

    simulated = admin.yunhui("policy", "simulate", str(draft), "--since", "1d").answer
    changed = [row for row in simulated["byRule"] if row["before"] != row["after"]]
    assert [(row["key"], row["after"], row["requests"]) for row in changed] == [("DAILY_QUOTA", "EFFECT_ALLOW", "1")]
    assert changed[0]["accountIds"] == ["policy-booker"]

    published = admin.yunhui("policy", "publish", str(draft), "--note", "five a day", "--base", "default@1").answer
    assert published["policy"]["version"] == "default@2"
    late = booker.reserve(starts[3]).answer
    assert (late["outcome"], late["decision"]["policyVersion"]) == ("OUTCOME_CONFIRMED", "default@2")

    for answer in (answers[3], late):
        explained = booker.yunhui("policy", "explain", answer["decision"]["decisionId"])
        assert (explained.code, explained.answer["equal"]) == (0, True)
        assert explained.answer["decision"] == answer["decision"]
    other = stack.login("booker", "curious").yunhui("policy", "explain", late["decision"]["decisionId"])
    assert other.code == 4

    assert admin.yunhui("policy", "publish", str(draft), "--note", "again", "--base", "default@1").code == 1
    back = admin.yunhui("policy", "rollback", "default@1", "--note", "too many")
    assert back.answer["policy"]["version"] == "default@3"
    assert booker.reserve("2025-07-10 17:00").answer["decision"]["rules"][0]["ruleId"] == "DAILY_QUOTA"
    listed = booker.yunhui("policy", "list").answer["policies"]
    assert [version["version"] for version in listed] == ["default@3", "default@2", "default@1"]


def test_a_stopped_policy_remembers_its_versions(stack: Stack) -> None:
    """Published is published: also after a kill."""
    before = stack.login("booker").yunhui("policy", "list").answer
    old = stack.pids["policy"]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: stack.pids["policy"] != old)
    assert wait_for(lambda: listed(stack)) == before


def listed(stack: Stack) -> dict[str, Any] | None:
    """None while it is away."""
    said = stack.login("booker").yunhui("policy", "list")
    return said.answer if said.code == 0 else None


DOUBLE = "{any: [{fact: participant_count, op: equal, value: 7}, {fact: participant_count, op: equal, value: 8}]}"
RULE = "  - {{id: R{n}, on: [CREATE], when: {when}, effect: DENY, remedy: none, summary: {words}, reason: {words}}}\n"
WORDS = "{zh-CN: 不, en: no}"
HEAD = SOURCE[: SOURCE.index("rules:\n")] + "rules:\n"


def rules(number: int, when: str = DOUBLE) -> str:
    return HEAD + "".join(RULE.format(n=n, when=when, words=WORDS) for n in range(number))


TRAPS = {
    "registration that never returns": rules(512),
    "alternatives that multiply": rules(1, f"{{all: [{', '.join([DOUBLE] * 12)}]}}"),
    "a float with a bare exponent": SOURCE.replace("value: 1800", "value: 1e16"),
    "text that looks like a number": SOURCE.replace("value: 1800", "value: '1800'"),
    "an integer past 2^62": SOURCE.replace("value: 1800", f"value: {2**63}"),
    "true for a number": SOURCE.replace("value: 1800", "value: true"),
    "arithmetic": SOURCE.replace("threshold: daily_quota}", "threshold: daily_quota / 0}"),
    "a field of the engine": SOURCE.replace("{fact: free_room_count,", "{fact: $s,"),
    "a fact that is not declared": SOURCE.replace("{fact: free_room_count,", "{fact: seats,"),
    "a threshold that is not declared": SOURCE.replace("threshold: weekly_quota}", "threshold: monthly_quota}"),
    "a comparison of order on text": SOURCE.replace("value: 0}", "value: abc}"),
    "a bomb of aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "a tag that would run code": "name: !!python/object/apply:os.system ['true']\n",
    "very deep nesting": "name: " + "[" * 5000,
    "sixty-five thousand characters": SOURCE.replace("name: default", "name: " + "d" * 65_536),
}
WORST = "registration that never returns"


@pytest.mark.parametrize(
    "trap", [WORST, *(pytest.param(trap, marks=pytest.mark.long) for trap in TRAPS if trap != WORST)]
)
def test_no_trap_of_the_engine_can_be_published(stack: Stack, tmp_path: Path, trap: str) -> None:
    """A clear error, no crash, no hang; and the rules in force go on deciding."""
    draft = tmp_path / "trap.yaml"
    draft.write_text(TRAPS[trap])
    draft.with_suffix(".test.yaml").write_text(TESTS)
    before = stack.pids
    said = stack.login("admin").yunhui("policy", "publish", str(draft), "--note", "trap", "--lang", "en")
    assert said.code == 1
    assert json.loads(said.err)["error"]["code"] == "FAILED_PRECONDITION"
    assert "line " in said.err or "characters" in said.err
    checked = stack.login("booker").yunhui("check", "--start", "2025-07-12 09:00", "--minutes", "60", "--people", "12")
    assert checked.code == 0
    assert stack.pids == before
