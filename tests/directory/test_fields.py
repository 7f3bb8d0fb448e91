"""What callers send is made plain, and none of it keeps the program busy."""

import unicodedata
from typing import Any

import pytest

from services.directory import fields
from services.platform.serving import errors


@pytest.mark.parametrize(
    "character", ["\u1e09", "\u0390", "\U0001d160"], ids=["c with two marks", "iota with two", "grows"]
)
def test_a_text_is_as_long_as_it_is_in_nfc(character: str) -> None:
    written, plain = (unicodedata.normalize(form, character * 10) for form in ("NFD", "NFC"))
    assert fields.text("name", written, len(plain)) == plain
    with pytest.raises(errors.RpcError, match=r"^name: "):
        fields.text("name", written, len(plain) - 1)


def test_a_very_long_text_is_not_put_in_order_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def noted(form: Any, value: str) -> str:
        lengths.append(len(value))
        return normalize(form, value)

    monkeypatch.setattr(unicodedata, "normalize", noted)
    for marks in ("\u0316\u0301" * 150, "\u0316\u0301" * 60_000):  # the second takes 15 s to put in order
        with pytest.raises(errors.RpcError, match=r"^name: must be at most 100 characters"):
            fields.text("name", "a" + marks, 100)
    assert lengths == [301]


def test_a_very_long_email_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(fields, "validate_email", lambda value, **_: read.append(value))
    with pytest.raises(errors.RpcError, match=r"^email: "):
        fields.email("email", "a@e" + "\u0316\u0301" * 60_000 + ".org")
    assert not read
