"""What is generated from the policy is what stands in the tree."""

import json

from services.policy import handbook, schema
from services.policy.sentences import duration


def test_the_rules_page_is_fresh() -> None:
    assert handbook.PATH.read_text(encoding="utf-8") == handbook.render(handbook.default_document())


def test_the_rules_page_says_every_rule_with_its_number_in_both_languages() -> None:
    page = handbook.PATH.read_text(encoding="utf-8")
    for rule in handbook.default_document().rules:
        assert page.count(f"| {rule.id} |") == 2
    assert "每天最多预定 3 次" in page
    assert duration(2400, "en") in page


def test_the_schema_for_editors_is_fresh_and_closed() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.render()
    content = json.loads(schema.render())
    assert content["additionalProperties"] is False
    assert {"rules", "facts", "thresholds"} <= set(content["required"])
