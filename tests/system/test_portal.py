"""The portal that `yunhui up` starts: sample people sign in with a browser."""

import re

import httpx2
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.system.stack import Stack

pytestmark = pytest.mark.system


def test_a_sample_person_signs_in_at_the_portal(stack: Stack) -> None:
    """At the development issuer, which the welcome names; the start page greets them."""
    run = stack.run
    with httpx2.Client(follow_redirects=True, timeout=PATIENCE_SECONDS) as browser:
        choice = browser.get(run["portal"])
        assert str(choice.url).startswith(run["issuer_address"])
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', choice.text))
        page = browser.post(f"{run['issuer_address']}/authorize", data=fields | {"account": "booker-2"})
    assert (page.status_code, str(page.url)) == (200, f"{run['portal']}/")
    assert "booker-2" in page.text


def test_the_portal_keeps_tokens_to_itself(stack: Stack) -> None:
    """Neither codes nor tokens are in its log, nor in that of the issuer."""
    test_a_sample_person_signs_in_at_the_portal(stack)
    for name in ("portal", "issuer"):
        log = (stack.state / "logs" / f"{name}.log").read_text()
        assert not re.search(r"eyJ|code=|code_verifier", log)
