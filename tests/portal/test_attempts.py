"""What browsers keep for us: read and made by us alone, and short enough for a cookie."""

import random

import pytest

from services.portal.attempts import LONGEST_COOKIE, Attempt, Form, Kept, Seal, to_key
from services.portal.oidc import Challenge

KEY = to_key("a client secret")
CHALLENGE = Challenge("a-state", "a-nonce", "a-verifier")
ATTEMPT = Attempt(CHALLENGE, "/page?day=1", Form("/page", [("subject", "组会 <b>&")]), 1_751_846_400.5)


def test_what_was_sealed_is_opened_by_any_replica() -> None:
    """The same secret makes the same key; another one, or none, opens nothing."""
    text = Seal(KEY, Attempt).close(ATTEMPT)
    assert Seal(to_key("a client secret"), Attempt).open(text) == ATTEMPT
    for other in ("another", ""):
        assert Seal(to_key(other), Attempt).open(text) is None
    assert to_key("") != to_key("")


def test_it_says_nothing() -> None:
    """And never the same."""
    first, second = (Seal(KEY, Attempt).close(ATTEMPT) for _ in range(2))
    assert first[:22] != second[:22]
    assert not [word for word in ("a-verifier", "page", "subject") if word in first]


def test_nothing_else_is_opened() -> None:
    """A letter changed, cut or added, another kind of record, and whatever comes in a cookie."""
    seal, text = Seal(KEY, Attempt), Seal(KEY, Attempt).close(ATTEMPT)
    changed = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(0, len(text) - 1, 7)]
    for wrong in (
        *changed,
        text[:-4],
        text + "AAAA",
        "",
        "x",
        "组会",
        "=" * 50,
        "A" * 5000,
        Seal(KEY, Kept).close(KEPT),
    ):
        assert seal.open(wrong) is None


KEPT = Kept(Form("/page", []), 1.0)


@pytest.mark.parametrize("letters", [1000, 2500, 20_000])
def test_what_is_too_long_is_not_kept_half(letters: int) -> None:
    """It is either all there or not at all."""
    form = Form("/page", [("note", random.Random(1).randbytes(letters // 2).hex())])
    text = Seal(KEY, Attempt).close(Attempt(CHALLENGE, "/", form, 1.0))
    assert len(text) <= LONGEST_COOKIE
    opened = Seal(KEY, Attempt).open(text)
    assert (opened.form if opened else None) == (form if letters < 20_000 else None)
