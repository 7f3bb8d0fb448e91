"""What is only Tencent's is said in services/meetings/tencent/: whoever adds another provider need not read it."""

import re
from pathlib import Path

import pytest

from services.meetings.tencent import errors

MEETINGS = Path(__file__).parents[2] / "services" / "meetings"
THEIRS = MEETINGS / "tencent"
CODES = {
    *errors.ABSENT,
    errors.CANCELLED,
    *errors.FORBIDDEN,
    *errors.MISCONFIGURED,
    errors.REPLAYED,
    *errors.TOO_MANY,
    errors.UNREGISTERED,
    *errors.STATES,
    *errors.TRANSIENT,
} - {28, 41}  # too small to be only an error number
HEADERS = r"X-TC-|\bAppId\b|\bSdkId\b"
PATHS = r"/v1/|/tencent\b|successfully received callback|api\.meeting\.qq\.com"
ONLY_THEIRS = re.compile(rf"{HEADERS}|{PATHS}|\b(?:{'|'.join(map(str, sorted(CODES)))})\b", re.IGNORECASE)


def found(source: Path) -> list[str]:
    """Numbers may be written with underscores."""
    text = re.sub(r"(?<=\d)_(?=\d)", "", source.read_text(encoding="utf-8"))
    return ONLY_THEIRS.findall(text)


@pytest.mark.parametrize(
    "source",
    [each for each in sorted(MEETINGS.rglob("*.py")) if THEIRS not in each.parents],
    ids=lambda source: str(source.relative_to(MEETINGS)),
)
def test_nothing_outside_knows_what_is_only_tencents(source: Path) -> None:
    """Names of headers, error numbers, paths, words and addresses."""
    assert found(source) == []


def test_what_is_only_theirs_would_be_found() -> None:
    """Where it is at home."""
    at_home = {each.name for each in THEIRS.glob("*.py") if found(each)}
    assert {"errors.py", "signature.py", "tencent.py", "webhooks.py"} <= at_home
