"""Who calls: bearer tokens (JWT, RFC 7519) checked against the issuer's keys, and the principal they prove."""

import json
import logging
import math
import time
import urllib.request
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ["ES256", "RS256"]  # asymmetric only: a public key must never verify as an HMAC secret
ROLES = frozenset({"booker", "support", "admin", "service"})
LEEWAY_SECONDS = 30
REFRESH_SECONDS = 60

log = logging.getLogger(__name__)


class InvalidTokenError(Exception):
    """The token proves nothing; the message says why and holds no part of the token."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. The account id is the token's subject: never an e-mail address, which can change hands."""

    account_id: str
    roles: frozenset[str]
    display_name: str = ""
    email: str = ""
    locale: str = "zh-CN"
    department: str = ""
    expire_time: float = field(default=math.inf, compare=False)
    """Epoch seconds, real time: until when the token proves this."""

    def seconds_left(self) -> float:
        return self.expire_time + LEEWAY_SECONDS - time.time()

    def has(self, *roles: str) -> bool:
        return not self.roles.isdisjoint(roles)


class KeySource:
    """The issuer's public keys: read at start, and again, at most once a minute, when a token names an unknown one.

    Raises OSError or ValueError at start when they cannot be read.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._refreshed_at = float("-inf")
        self.keys = self._read()

    def refresh(self) -> None:
        """In a thread of its own: a slow issuer must not stop the calls of everybody else."""
        if time.monotonic() - self._refreshed_at > REFRESH_SECONDS:
            self._refreshed_at = time.monotonic()
            Thread(target=self._replace, daemon=True).start()

    def _replace(self) -> None:
        try:
            self.keys = self._read()
        except (OSError, ValueError) as error:
            log.warning("the issuer's keys cannot be read, the old ones stay: %s", error)

    def _read(self) -> KeySet:
        if not self._location.startswith("https:"):
            return KeySet.import_key_set(json.loads(Path(self._location).read_text()))
        with urllib.request.urlopen(self._location, timeout=5) as answer:  # noqa: S310 - https only, see above
            return KeySet.import_key_set(json.load(answer))


class Verifier:
    """Turns a bearer token into a Principal, or raises InvalidTokenError.

    Signature, issuer, audience and the presence of exp are checked once per token and remembered;
    the times are checked at every call.
    """

    def __init__(self, issuer: str, audience: str, keys: KeySource) -> None:
        self._keys = keys
        self._registry = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
            leeway=LEEWAY_SECONDS,
        )
        self._checked = lru_cache(maxsize=4096)(self._check)

    def verify(self, token: str) -> Principal:
        principal, not_before, expires = self._checked(token)
        if not not_before - LEEWAY_SECONDS <= time.time() < expires + LEEWAY_SECONDS:
            raise InvalidTokenError("the token has expired or is not valid yet: sign in again")
        return principal

    def _check(self, token: str) -> tuple[Principal, float, float]:
        claims = self._decode(token)
        try:
            self._registry.validate(claims)
            return to_principal(claims), float(claims.get("nbf", 0)), float(claims["exp"])
        except (JoseError, TypeError, ValueError) as error:
            raise InvalidTokenError(f"the token's claims are not acceptable: {error}") from error

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._keys.keys, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            self._keys.refresh()
            raise InvalidTokenError("the token's signature cannot be verified") from error


def to_principal(claims: dict[str, Any]) -> Principal:
    """Claims used: sub, roles (list), name, email, locale, department. Unknown roles are dropped."""
    subject, roles = claims["sub"], claims.get("roles", [])
    if not isinstance(subject, str) or not 0 < len(subject) <= 128 or not isinstance(roles, list):
        raise ValueError("sub must be 1 to 128 characters, roles a list")
    return Principal(
        account_id=subject,
        roles=ROLES.intersection(role for role in roles if isinstance(role, str)),
        display_name=_text(claims, "name") or subject,
        email=_text(claims, "email"),
        locale="en" if _text(claims, "locale").lower().startswith("en") else "zh-CN",
        department=_text(claims, "department"),
        expire_time=float(claims.get("exp", math.inf)),
    )


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name, "")
    return value[:256] if isinstance(value, str) else ""
