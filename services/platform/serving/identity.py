"""Who calls: bearer tokens (JWT, RFC 7519) checked against the issuer's keys, and the principal they prove."""

import asyncio
import json
import logging
import math
import sys
import time
import unicodedata
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet

from services.platform.settings import TOKEN_ROLES, ServerSettings

ALGORITHMS = ["ES256", "RS256"]  # asymmetric only: a public key must never verify as an HMAC secret
ROLES = TOKEN_ROLES
KEY_TYPES = ("EC", "RSA")
LEEWAY_SECONDS = 30
MOST_TOKEN_CHARACTERS = 8 * 1024
LAST_SECOND = 253_402_300_799  # of the year 9999
MOST_SUBJECT_CHARACTERS, MOST_TEXT_CHARACTERS = 128, 256
DISCOVERY = "/.well-known/openid-configuration"
AGE_SECONDS = 600.0
PAUSE_SECONDS, FETCH_SECONDS, PATIENCE_SECONDS = 5.0, 5.0, 10.0
MOST_WAITERS = 64
MOST_ABSENT, ABSENT_SECONDS = 1024, 30.0
MOST_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


_NOWHERE = frozenset({""})


class InvalidTokenError(Exception):
    """The token proves nothing; the message says why and holds no part of the token."""


class UnknownKeyError(InvalidTokenError):
    """The token names a key that is not among the issuer's, as far as we know them."""

    def __init__(self, key_id: str) -> None:
        super().__init__("the token's signature cannot be verified")
        self.key_id = key_id


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. The account id is the token's subject: never an e-mail address, which can change hands."""

    account_id: str
    roles: frozenset[str]
    display_name: str = ""
    email: str = ""
    locale: str = "zh-CN"
    department: str = ""
    email_verified: bool = False
    """The issuer has checked that the address is theirs."""
    expire_time: float = field(default=math.inf, compare=False)
    """Epoch seconds, real time: until when the token proves this."""
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    """What they may do, by permission: for which departments and all below them; everywhere when there are none."""
    proved: "Principal | None" = field(default=None, compare=False, repr=False)
    """What the token alone says, where this says more."""

    def seconds_left(self) -> float:
        return self.expire_time + LEEWAY_SECONDS - time.time()

    def has(self, role: str) -> bool:
        return role in self.roles

    def may(self, permission: str) -> bool:
        """For some departments at least."""
        return permission in self.permissions

    def everywhere(self, permission: str) -> bool:
        return self.permissions.get(permission, _NOWHERE) == frozenset()

    def scope(self, permission: str) -> frozenset[str] | None:
        """The departments for which it is permitted, none when it is not at all; None: everywhere."""
        return self.permissions.get(permission, frozenset()) or (None if self.may(permission) else frozenset())


class KeySource:
    """The issuer's public keys, under their ids: from a file, from an https address, or found by OpenID Connect
    Discovery when `location` is empty.

    They are read at start, again when they are ten minutes old, so that withdrawn keys stop working, and when a token
    names a key that is not there. Raises OSError or ValueError at start when they cannot be read.
    """

    def __init__(self, location: str, issuer: str = "") -> None:
        self._location = location
        self._issuer = issuer
        self._reading: asyncio.Task[None] | None = None
        self._waiters = 0
        self._absent: dict[str, float] = {}
        self.keys = self._read()
        self._read_at, self._tried_at = time.monotonic(), -math.inf

    async def look_again(self, key_id: str) -> None:
        """Returns when the keys were read again, by one reading for all who wait, at most one in five seconds.

        A stranger can name unknown keys as often as he likes: whoever names a known one never waits here, only so many
        wait at once, nobody waits longer than ten seconds, and a name that was looked for in vain is refused at once
        for half a minute.
        """
        if self._waiters >= MOST_WAITERS or time.monotonic() < self._absent.get(key_id, -math.inf):
            return
        self._waiters += 1
        try:
            await asyncio.wait({self._begin()}, timeout=PATIENCE_SECONDS)
        finally:
            self._waiters -= 1
        if not self.has(key_id):
            if len(self._absent) >= MOST_ABSENT:
                self._absent.clear()
            self._absent[key_id] = time.monotonic() + ABSENT_SECONDS

    def has(self, key_id: str) -> bool:
        return any(key.kid == key_id for key in self.keys)

    def refresh_if_old(self) -> None:
        """Begins to read old keys again and does not wait for it."""
        if time.monotonic() - max(self._read_at, self._tried_at) > AGE_SECONDS:
            self._begin()

    def _begin(self) -> "asyncio.Task[None]":
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._replace())
        return self._reading

    async def _replace(self) -> None:
        await asyncio.sleep(self._tried_at + PAUSE_SECONDS - time.monotonic())
        self._tried_at = time.monotonic()
        try:
            fresh = await asyncio.to_thread(self._read)
        except (OSError, ValueError, HTTPException) as error:
            log.warning("the issuer's keys cannot be read, the old ones stay: %s", error)
            return
        self._read_at = time.monotonic()
        if _as_text(fresh) != _as_text(self.keys):
            log.info("the issuer's keys are now: %s", ", ".join(str(key.kid) for key in fresh.keys))
            self.keys = fresh

    def _read(self) -> KeySet:
        return _import(self._read_json(self._location or self._discover()))

    def _discover(self) -> str:
        """Where the keys are, as the issuer itself says (OpenID Connect Discovery 1.0, section 4)."""
        address = self._issuer.rstrip("/") + DISCOVERY
        if not address.startswith("https:"):
            raise ValueError("keys are discovered over https only")
        said = self._read_json(address)
        if said.get("issuer") != self._issuer:
            raise ValueError(f"{address} speaks for another issuer: {str(said.get('issuer'))[:200]!r}")
        location = said.get("jwks_uri")
        if not isinstance(location, str) or not location.startswith("https:"):
            raise ValueError(f"{address} names no https address of keys")
        return location

    @staticmethod
    def _read_json(location: str) -> dict[str, Any]:
        if location.startswith("https:"):
            with urllib.request.build_opener(_StayThere).open(location, timeout=FETCH_SECONDS) as answer:
                body = answer.read(MOST_BYTES + 1)
        else:
            body = Path(location).read_bytes()
        content = json.loads(body) if len(body) <= MOST_BYTES else None
        if not isinstance(content, dict):
            raise ValueError(f"{location} is not a JSON object of at most {MOST_BYTES} bytes")
        return content


class _StayThere(urllib.request.HTTPRedirectHandler):
    """A redirect could lead away from https: it is an error."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _import(content: dict[str, Any]) -> KeySet:
    """The keys that can check a signature of ours; issuers publish others beside them."""
    listed, keys = content.get("keys"), []
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict) and each.get("kty") in KEY_TYPES and each.get("use", "sig") == "sig":
            try:
                keys.append(JWKRegistry.import_key(each))
            except (JoseError, ValueError, TypeError) as error:
                log.warning("a key of the issuer is left out: %s", error)
    if not keys:
        raise ValueError(f"the issuer publishes no key of the types {' and '.join(KEY_TYPES)}")
    return KeySet(keys)


def _as_text(keys: KeySet) -> str:
    return json.dumps(keys.as_dict(private=False), sort_keys=True)


class Verifier:
    """Turns a bearer token into a Principal, or raises InvalidTokenError.

    Signature, issuer, audience and the presence of exp are checked once per token and set of keys and remembered;
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
        self._remember(keys.keys)

    async def prove(self, token: str) -> Principal:
        """`verify`, and once more with fresh keys if the token names one that is not known."""
        try:
            return self.verify(token)
        except UnknownKeyError as error:
            await self._keys.look_again(error.key_id)
            return self.verify(token)

    def verify(self, token: str) -> Principal:
        """With the keys at hand. Raises UnknownKeyError where others could help."""
        self._keys.refresh_if_old()
        if self._checked_with is not self._keys.keys:
            self._remember(self._keys.keys)
        principal, not_before, expires = self._checked(token)
        if not not_before - LEEWAY_SECONDS <= time.time() < expires + LEEWAY_SECONDS:
            raise InvalidTokenError("the token has expired or is not valid yet: sign in again")
        return principal

    def _remember(self, keys: KeySet) -> None:
        """What other keys proved counts no more."""
        self._checked_with = keys
        self._checked = lru_cache(maxsize=4096)(self._check)

    def _check(self, token: str) -> tuple[Principal, float, float]:
        claims = self._decode(token)
        try:
            check_claims(claims)
            self._registry.validate(claims)
            return to_principal(claims), float(claims.get("nbf", 0)), float(claims["exp"])
        except (JoseError, TypeError, ValueError) as error:
            raise InvalidTokenError(f"the token's claims are not acceptable: {error}") from error

    def _decode(self, token: str) -> dict[str, Any]:
        if len(token) > MOST_TOKEN_CHARACTERS:
            raise InvalidTokenError("the token is too long to be one of ours")
        try:
            return jwt.decode(token, self._checked_with, algorithms=ALGORITHMS).claims
        except InvalidKeyIdError as error:
            raise self._without_key(token) from error
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidTokenError("the token's signature cannot be verified") from error

    def _without_key(self, token: str) -> InvalidTokenError:
        """Fresh keys help only where the name is unknown, and not the use that the token makes of a known one."""
        key_id = jws.extract_compact(token.encode()).headers().get("kid")
        if isinstance(key_id, str) and not self._keys.has(key_id):
            return UnknownKeyError(key_id)
        return InvalidTokenError("the token's signature cannot be verified")


def create_verifier(settings: ServerSettings) -> Verifier:
    """Ends the program with a sentence when the issuer's keys cannot be read."""
    try:
        return Verifier(settings.issuer, settings.audience, KeySource(settings.jwks, settings.issuer))
    except (OSError, ValueError, HTTPException) as error:
        sys.exit(f"YUNHUI_ISSUER, YUNHUI_JWKS: the issuer's public keys cannot be read: {error}")


def check_claims(claims: dict[str, Any]) -> None:
    """That each claim which is looked at is of its kind, so that nothing behind the door meets what it cannot hold.

    One that is null is not there. Raises ValueError, which names the claim.
    """
    for names, right, what in KINDS:
        for name in names:
            if claims.get(name) is not None and not right(claims[name]):
                raise ValueError(f"{name} must be {what}")


def _is_text(value: object) -> bool:
    """What protobuf, databases and mails can hold: no lone surrogates (category Cs), and no control characters (Cc)."""
    return isinstance(value, str) and not any(unicodedata.category(each) in ("Cc", "Cs") for each in value)


def _is_subject(value: object) -> bool:
    return isinstance(value, str) and _is_text(value) and 0 < len(value) <= MOST_SUBJECT_CHARACTERS


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_audience(value: object) -> bool:
    return _is_text(value) or _is_list(value)


def _is_moment(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LAST_SECOND


KINDS: tuple[tuple[tuple[str, ...], Callable[[object], bool], str], ...] = (
    (("iss", "name", "email", "locale", "department"), _is_text, "text without control characters"),
    (("sub",), _is_subject, f"text of 1 to {MOST_SUBJECT_CHARACTERS} characters, without control characters"),
    (("roles",), _is_list, "a list of texts"),
    (("aud",), _is_audience, "a text or a list of texts"),
    (("exp", "nbf", "iat"), _is_moment, "a number of seconds since 1970, up to the year 9999"),
)


def to_principal(claims: dict[str, Any]) -> Principal:
    """From checked claims: sub, roles, name, email, email_verified, locale, department, exp. Other roles go."""
    subject = claims["sub"]
    return Principal(
        account_id=subject,
        roles=ROLES.intersection(claims.get("roles") or []),
        display_name=_text(claims, "name") or subject,
        email=_text(claims, "email"),
        locale="en" if _text(claims, "locale").lower().startswith("en") else "zh-CN",
        department=_text(claims, "department"),
        email_verified=claims.get("email_verified") is True,
        expire_time=float(claims["exp"]),
    )


def _text(claims: dict[str, Any], name: str) -> str:
    return str(claims.get(name) or "")[:MOST_TEXT_CHARACTERS]
