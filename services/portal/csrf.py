"""Forged forms: a POST counts only from our own pages, with a token that this browser's session was given.

The token follows from the session's secret, so it needs no place of its own, and holds after the session has ended:
what was typed by then can be kept.
"""

import hashlib
import hmac
import secrets

from starlette.requests import Request

FIELD = "csrf_token"
HEADER = "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_BYTES = 32
CROSS = frozenset({"cross-site", "same-site"})


def field(request: Request) -> str:
    """The value of the hidden field `csrf_token`; "" for whoever never had a session and may send nothing.

    Another one in every answer: the length of compressed pages must not give it away (BREACH).
    """
    expected = token(getattr(request.state, "session_secret", ""))
    pad = secrets.token_bytes(TOKEN_BYTES)
    return (pad + _xor(pad, bytes.fromhex(expected))).hex() if expected else ""


def token(secret: str) -> str:
    return hmac.new(secret.encode(), b"csrf token", hashlib.sha256).hexdigest() if secret else ""


def is_foreign(request: Request, origin: str) -> bool:
    """Whether the browser says that another site sent this."""
    return request.headers.get("origin", origin) != origin or request.headers.get("sec-fetch-site", "") in CROSS


async def is_genuine(request: Request) -> bool:
    """Whether the form carries the token of this browser's session, as a field or, from a script, as a header."""
    given = request.headers.get(HEADER) or (await request.form()).get(FIELD)
    expected = token(getattr(request.state, "session_secret", ""))
    return bool(expected) and isinstance(given, str) and hmac.compare_digest(expected, _unmasked(given))


def _unmasked(given: str) -> str:
    """ "" for what is no token of ours."""
    try:
        both = bytes.fromhex(given)
    except ValueError:
        return ""
    return _xor(both[:TOKEN_BYTES], both[TOKEN_BYTES:]).hex() if len(both) == 2 * TOKEN_BYTES else ""


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
