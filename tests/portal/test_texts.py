"""The policy's own sentences on pages."""

import pytest

from services.platform.text.languages import LANGUAGES
from services.policy.description import describe
from services.policy.handbook import default_document, summary
from services.portal import policies


@pytest.mark.parametrize("language", LANGUAGES)
def test_rules_are_worded_as_in_the_handbook(language: str) -> None:
    """With the same figures in them."""
    document = default_document()
    policy = policies.PolicyInForce(describe(document))
    worded = {rule.rule_id: policy.sentence(rule, language) for rule in policy.description.rules}
    assert worded == {rule.id: summary(document, rule, language) for rule in document.rules}
