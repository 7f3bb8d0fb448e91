"""Who is signed in: sessions of 30 minutes without a sign of life and 8 hours at most, kept in the store."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from services.platform.serving.grants import Grants
from services.platform.serving.identity import Principal
from services.platform.serving.permissions import LOCAL
from services.portal.session_store import Store, Stored

IDLE_SECONDS = 30 * 60
ABSOLUTE_SECONDS = 8 * 3600
TOUCH_SECONDS = 60
"""A sign of life is written down at most so often."""
EARLY_SECONDS = 60
"""A token that ends so soon is exchanged for a fresh one."""
CLAIM_SECONDS = 30
"""Whoever set out to exchange it is given so long."""
WAIT_SECONDS, WAITS = 0.1, 30
"""So others wait for it, when the old one is of no use any more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in. `token` proves it to the services and is never rendered."""

    account_id: str
    display_name: str
    email: str
    roles: frozenset[str]
    locale: str
    token: str = field(repr=False)
    permissions: frozenset[str] = frozenset()
    """For some departments at least, where that is enough for anything; found out anew for each request."""
    everywhere: frozenset[str] = frozenset()
    """Those of them that hold for all departments."""
    email_verified: bool = False
    department: str = ""
    """As the token says it, for who is introduced to the directory."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the issuer gave besides the person's own token, which ends at `expire_time` (epoch seconds)."""

    expire_time: float
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """Times are epoch seconds, real ones."""

    person: Person
    tokens: Tokens
    begin_time: float
    seen_time: float
    renewal_time: float = 0.0


class RenewalRefusedError(Exception):
    """The issuer gives no fresh token: whoever it was must sign in again."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A person and the tokens that prove them."""

    person: Person
    tokens: Tokens


Renew = Callable[[Tokens], Awaitable[Granted | None]]
"""Fresh tokens, or None while the issuer is away. Raises RenewalRefusedError."""


def to_person(principal: Principal, token: str) -> Person:
    return Person(
        *(principal.account_id, principal.display_name, principal.email, principal.roles, principal.locale, token),
        email_verified=principal.email_verified,
        department=principal.department,
    )


async def introduced(person: Person, grants: Grants) -> None:
    """Makes a stranger known to the directory, where it wants that. Raises errors.RpcError."""
    caller = Principal(
        *(person.account_id, person.roles, person.display_name, person.email, person.locale, person.department),
        email_verified=person.email_verified,
    )
    if grants.is_stranger(caller):
        await grants.introduce(caller)


def with_grants(person: Person, grants: Grants) -> Person:
    """With what they may do now. Raises errors.RpcError."""
    caller = grants.of(Principal(person.account_id, person.roles))
    everywhere = frozenset(each for each in caller.permissions if caller.everywhere(each))
    permissions = everywhere | (LOCAL & caller.permissions.keys())
    return replace(person, roles=caller.roles, permissions=permissions, everywhere=everywhere)


class Sessions:
    """Sessions by the secret in a cookie. Every method raises StoreAwayError."""

    def __init__(self, store: Store[Session], renew: Renew, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._renew = renew
        self._now = now

    async def begin(self, granted: Granted) -> str:
        """Always a secret that nobody knew before."""
        now = self._now()
        return await self._store.create(Session(granted.person, granted.tokens, now, now))

    async def find(self, secret: str, *, sign_of_life: bool = True) -> Session | None:
        """None for one that has ended, in whatever way."""
        stored = await self._store.read(secret)
        if stored is None or self._is_over(stored.record):
            return None
        fresh = await self._with_fresh_token(secret, stored)
        if fresh and sign_of_life and self._now() - fresh.record.seen_time >= TOUCH_SECONDS:
            await self._store.replace(secret, fresh, replace(fresh.record, seen_time=self._now()))
        return fresh.record if fresh else None

    async def reachable(self) -> None:
        """They can be asked for."""
        await self._store.read("nobody's")

    async def end(self, secret: str) -> None:
        if await self._store.read(secret):  # a made-up secret leaves no trace
            await self._store.remove(secret)

    def _is_over(self, session: Session) -> bool:
        now = self._now()
        return now >= session.seen_time + IDLE_SECONDS or now >= session.begin_time + ABSOLUTE_SECONDS

    def _seconds_left(self, session: Session) -> float:
        return session.tokens.expire_time - self._now()

    async def _with_fresh_token(self, secret: str, stored: Stored[Session]) -> Stored[Session] | None:
        """Of several requests one asks the issuer: a second use of a refresh token would be taken for theft."""
        session = stored.record
        if self._seconds_left(session) > EARLY_SECONDS:
            return stored
        # a claim in the future is of a replica whose clock was ahead: it would hold for as long as that
        if session.tokens.refresh_token and abs(self._now() - session.renewal_time) > CLAIM_SECONDS:
            claimed = await self._store.replace(secret, stored, replace(session, renewal_time=self._now()))
            if claimed:
                return await self._renewed(secret, claimed)
        return stored if self._seconds_left(session) > 0 else await self._renewed_by_another(secret)

    async def _renewed(self, secret: str, stored: Stored[Session]) -> Stored[Session] | None:
        session = stored.record
        try:
            granted = await self._renew(session.tokens)
        except RenewalRefusedError as error:
            log.info("a session ends: %s", error)
            await self._store.remove(secret)
            return None
        if granted is None:
            return stored if self._seconds_left(session) > 0 else None
        if not _same_rights(granted.person, session.person):
            await self._store.remove(secret)
            return None
        return await self._store.replace(secret, stored, replace(session, person=granted.person, tokens=granted.tokens))

    async def _renewed_by_another(self, secret: str) -> Stored[Session] | None:
        for _ in range(WAITS):
            stored = await self._store.read(secret)
            if stored is None or not stored.record.tokens.refresh_token:
                return None
            if self._seconds_left(stored.record) > 0:
                return stored
            await asyncio.sleep(WAIT_SECONDS)
        return None


def _same_rights(one: Person, other: Person) -> bool:
    """Whoever has got or lost a role signs in again."""
    return (one.account_id, one.roles) == (other.account_id, other.roles)
