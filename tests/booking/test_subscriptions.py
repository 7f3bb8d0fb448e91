"""What the policy asks booking for over the bus: pages of stored requests."""

import pytest

from services.booking.subscriptions import to_key


def test_a_page_goes_on_after_the_row_that_its_token_names() -> None:
    assert to_key("") is None
    assert to_key("1751846400000:dec_01") == (1_751_846_400_000, "dec_01")


@pytest.mark.parametrize("token", ["x", ":", "1:", ":x", "-1:x", "1e9:x", "١:x", "9" * 19 + ":x", "1:\x00", "1:é"])
def test_what_is_no_token_of_ours_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        to_key(token)
