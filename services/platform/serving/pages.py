"""Tokens of pages: the key of the last row shown, by what they are sorted and an id: the next page goes on after it.

What a token holds is shown to whoever asks, and comes back as they like: it is data, and bound to a statement as such.
"""

import base64
import json
import unicodedata
from typing import TypeVar

from services.platform.serving import errors
from services.platform.text.messages import message

_LATEST = 2**62
_LONGEST_ID, _LONGEST_TEXT = 128, 4096

K = TypeVar("K", int, str)


def to_token(sorted_by: int | str, row_id: str) -> str:
    """`sorted_by`: a time in epoch milliseconds, or a text of at most 4,096 characters."""
    return base64.urlsafe_b64encode(json.dumps([sorted_by, row_id]).encode()).decode()


def from_token(token: str) -> tuple[int, str] | None:
    """Of rows sorted by a time. None for the first page. Raises errors.invalid for what is not one of ours."""
    return _key(token, int)


def from_text_token(token: str) -> tuple[str, str] | None:
    """As from_token, where rows are sorted by a text."""
    return _key(token, str)


def _key(token: str, kind: type[K]) -> tuple[K, str] | None:
    if not token:
        return None
    try:
        sorted_by, row_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        if type(sorted_by) is kind and _can_be(sorted_by) and _is_text(row_id, _LONGEST_ID):
            return sorted_by, row_id
    except (ValueError, TypeError, RecursionError):
        pass
    raise not_ours()


def _can_be(sorted_by: int | str) -> bool:
    return 0 <= sorted_by < _LATEST if isinstance(sorted_by, int) else _is_text(sorted_by, _LONGEST_TEXT)


def _is_text(value: object, longest: int) -> bool:
    """What databases can hold: no lone surrogates, and no control characters."""
    if not isinstance(value, str) or len(value) > longest:
        return False
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)


def from_number(token: str) -> int:
    """As from_token, where rows are numbered from 1; 0 for the first page."""
    if token and not (token.isascii() and token.isdigit()):
        raise not_ours()
    return int(token[:18] or 0)


def size(asked: int, usual: int = 50, most: int = 500) -> int:
    """How many rows a page has. Raises errors.invalid."""
    if not 0 <= asked <= most:
        raise errors.invalid("page_size", message("must be between 1 and {most}", most=most))
    return asked or usual


def not_ours() -> errors.RpcError:
    """For a token that leads to no page."""
    words = message("is not one of ours: start again with the first page")
    return errors.invalid("page_token", words)
