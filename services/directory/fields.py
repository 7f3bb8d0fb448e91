"""What callers send, checked and made plain, field by field: every fault names its field and the way out."""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from services.platform.serving import errors
from services.platform.text.messages import message

ORDERING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Characters that make others be read in another order than they stand in."""

MOST_IN_DEPARTMENT = 100
"""Characters."""
MOST_LEVELS = 64
"""Of departments."""
MOST_PARTS = 4
"""Of one character in NFC, as it may be written in another form."""
MOST_IN_EMAIL = 254
"""Characters."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PHONE = re.compile(r"\+[1-9][0-9]{5,14}")


def text(field: str, given: str, longest: int) -> str:
    """In NFC and trimmed; at most `longest` characters; one line."""
    value = given.strip()
    if len(value) <= longest * MOST_PARTS:  # putting the marks of a very long one in order takes minutes
        value = unicodedata.normalize("NFC", value)
    if len(value) > longest:
        words = message("must be at most {longest:,} characters, has {length:,}", longest=longest, length=len(value))
        raise errors.invalid(field, words)
    if any(_is_hidden(character) for character in value):
        raise errors.invalid(field, message("must be one line without control characters"))
    return value


def required_text(field: str, given: str, longest: int) -> str:
    value = text(field, given, longest)
    if not value:
        raise errors.invalid(field, errors.REQUIRED)
    return value


def department_name(given: str) -> str:
    name = required_text("display_name", given, MOST_IN_DEPARTMENT)
    if "/" in name:
        raise errors.invalid("display_name", message('must not have "/", which stands between names in a path'))
    return name


def _is_hidden(character: str) -> bool:
    hidden = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    return hidden or unicodedata.bidirectional(character) in ORDERING


def identifier(field: str, given: str) -> str:
    """Required."""
    if not given:
        raise errors.invalid(field, errors.REQUIRED)
    if not _ID.fullmatch(given):
        raise errors.invalid(field, message('must be 1 to 64 letters, digits, ".", "_" or "-"'))
    return given


def email(field: str, given: str) -> str:
    """One that mail can be sent to, or ""."""
    value = given.strip()
    if not value:
        return ""
    try:
        if len(value) > MOST_IN_EMAIL:
            raise EmailNotValidError
        checked = validate_email(value, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError as error:
        raise errors.invalid(field, message("is no e-mail address")) from error
    return checked.normalized


def phone(field: str, given: str) -> str:
    """In E.164, or ""."""
    value = given.strip()
    if value and not _PHONE.fullmatch(value):
        raise errors.invalid(field, message("must be written like +8613800138000"))
    return value


def version(given: int) -> int:
    """Required."""
    if given < 1:
        raise errors.invalid("version", errors.REQUIRED)
    return given
