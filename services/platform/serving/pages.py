"""Tokens of pages: the key of the last row shown, a time and an id, so that the next page goes on after it."""

import base64
import json
import re

from services.platform.serving import errors
from services.platform.text.messages import message

_LATEST = 2**62
_ID = re.compile(r"[A-Za-z0-9._-]{0,128}")


def to_token(time: int, row_id: str) -> str:
    """`time` in epoch milliseconds."""
    return base64.urlsafe_b64encode(json.dumps([time, row_id]).encode()).decode()


def from_token(token: str) -> tuple[int, str] | None:
    """None for the first page. Raises errors.invalid for what is not one of ours, whatever it is."""
    if not token:
        return None
    try:
        time, row_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        if isinstance(time, int) and 0 <= time < _LATEST and _ID.fullmatch(row_id):
            return time, row_id
    except (ValueError, TypeError, RecursionError):
        pass
    raise _not_ours()


def from_number(token: str) -> int:
    """As from_token, where rows are numbered from 1; 0 for the first page."""
    if token and not (token.isascii() and token.isdigit()):
        raise _not_ours()
    return int(token[:18] or 0)


def size(asked: int, usual: int = 50, most: int = 500) -> int:
    """How many rows a page has. Raises errors.invalid."""
    if not 0 <= asked <= most:
        raise errors.invalid("page_size", message("must be between 1 and {most}", most=most))
    return asked or usual


def _not_ours() -> errors.RpcError:
    words = message("is not one of ours: start again with the first page")
    return errors.invalid("page_token", words)
