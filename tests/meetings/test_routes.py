"""Which provider a number leads to, at the boundaries, and what is refused as the setting of it."""

import pytest

from services.meetings import routes

KNOWN = ("simulated", "tencent")


@pytest.mark.parametrize(
    ("text", "by_prefix"),
    [
        ("simulated", {"": "simulated"}),
        ("tencent", {"": "tencent"}),
        ("tencent, simulated:9", {"": "tencent", "9": "simulated"}),
        ("simulated:9,tencent", {"": "tencent", "9": "simulated"}),
        (" tencent ,simulated : 9 , simulated:123456789", {"": "tencent", "9": "simulated", "123456789": "simulated"}),
        ("tencent, simulated:9, tencent:90", {"": "tencent", "9": "simulated", "90": "tencent"}),
        ("tencent, simulated:0", {"": "tencent", "0": "simulated"}),
    ],
)
def test_how_it_is_written(text: str, by_prefix: dict[str, str]) -> None:
    assert routes.read(text, KNOWN) == by_prefix


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no provider ''"),
        ("zoom", "there is no provider 'zoom': name one or more of simulated, tencent"),
        ("Tencent", "there is no provider 'Tencent'"),
        ("tencent,", "there is no provider ''"),
        ("tencent simulated:9", "there is no provider 'tencent simulated'"),
        ("tencent, simulated", "a provider without a prefix, the default, is named twice: tencent and simulated"),
        ("tencent, tencent", "the default, is named twice: tencent and tencent"),
        ("tencent, simulated:9, tencent:9", "the prefix 9 is given twice: simulated and tencent"),
        ("tencent, simulated:9, simulated:9", "the prefix 9 is given twice"),
        ("tencent:1, simulated:9", "one provider must have no prefix"),
        ("tencent, simulated:", "the prefix of simulated must be 1 to 9 digits, for example simulated:9"),
        ("tencent, simulated:9a", "1 to 9 digits"),
        ("tencent, simulated:9-1", "1 to 9 digits"),
        ("tencent, simulated:９", "1 to 9 digits"),
        ("tencent, simulated:²", "1 to 9 digits"),
        ("tencent, simulated:1:2", "1 to 9 digits"),
        ("tencent, simulated:1234567890", "1 to 9 digits"),
    ],
)
def test_what_is_refused_is_told_with_the_way_out(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        routes.read(text, KNOWN)


@pytest.mark.parametrize(
    ("meeting_code", "name"),
    [
        ("000000000", "default"),
        ("899999999", "default"),
        ("900000000", "nine"),
        ("909999999", "nine"),
        ("910000000", "ninety-one"),
        ("919999999", "ninety-one"),
        ("920000000", "nine"),
        ("9999999999", "nine"),
        ("0910000000", "default"),
        ("123456789", "one number"),
        ("1234567890", "one number"),
        ("123456788", "default"),
    ],
)
def test_the_longest_prefix_leads(meeting_code: str, name: str) -> None:
    """In whatever order they are written; at both ends of each."""
    by_prefix = {"9": "nine", "": "default", "91": "ninety-one", "123456789": "one number"}
    assert routes.lead(by_prefix, meeting_code) == name
    assert routes.lead(dict(reversed(by_prefix.items())), meeting_code) == name
