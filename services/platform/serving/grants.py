"""Who may do what: what the token's roles count for, and what the directory has granted, held in memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import grpc
from yunhui.access.v1.access_pb2 import Grant, IntroduceResponse, Joining

from services.platform.serving import errors
from services.platform.serving.identity import ROLES, Principal
from services.platform.serving.permissions import BUILT_IN, CATALOGUE, ORDINARY, Needed
from services.platform.text.messages import message

MEMBER = "booker"
"""The role of everybody: where tokens need not claim it, whoever the issuer lets in is a member."""
PROGRAM = "service"
"""The role of programs: what they may do, tokens alone decide."""
WAITING, IMPOSSIBLE = "MEMBERSHIP_WAITING", "MEMBERSHIP_IMPOSSIBLE"
"""Why somebody is refused who has to be let in first, and who never can be."""
MOST_REMEMBERED = 4096
AWAY_SECONDS = 240.0
"""So long what was known goes on when the bus is away. With the time until a silent bus is noticed: five minutes."""

Permitted = Mapping[str, frozenset[str]]
"""By permission, the departments for which it holds, with all below them; everywhere when there are none."""
EVERYWHERE: frozenset[str] = frozenset()
NOTHING: Permitted = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AccountGrant:
    """What the directory says of an account."""

    version: int
    disabled: bool
    roles: frozenset[str]
    permissions: Permitted
    waiting: bool = False
    known: bool = True


UNKNOWN = AccountGrant(0, False, frozenset(), NOTHING, known=False)
"""Of an account of which it says nothing."""


class GrantsLine:
    """The way on which the directory's word reaches us; this one knows of no directory."""

    def silent_for(self) -> float:
        """Seconds since it was last known to hold, 0 while it does; infinite before everything had come."""
        return 0.0

    async def confirm(self) -> None:
        """Returns when all that the directory said before has come. Raises errors.RpcError UNAVAILABLE."""

    async def introduce(self, stranger: Principal) -> IntroduceResponse:
        """What the directory says of one of whom it has said nothing yet. Raises errors.RpcError UNAVAILABLE."""
        raise errors.unavailable("directory", retry_seconds=2)


class Grants:
    """What callers may do: the roles in their tokens, as far as `token_roles` lets them count, and the directory's.

    What the directory has said reaches us by `line`.
    """

    def __init__(self, token_roles: Iterable[str] = ROLES) -> None:
        self._counting = frozenset(token_roles)
        self.line = GrantsLine()
        self._granted: dict[str, AccountGrant] = {}
        self._remembered: dict[str, tuple[Principal, AccountGrant, Principal]] = {}
        self.joining = Joining()
        """What becomes of accounts of which the directory says nothing."""
        self.changed: Callable[[str], None] = lambda account_id: None
        """Called after each change, with the account's id; with "" when it may concern any."""

    def put(self, account_id: str, grant: Grant) -> None:
        """A grant that has come from the directory; one that is older than what is known is passed over."""
        known = self._granted.get(account_id)
        if known is None or grant.version > known.version:
            self._granted[account_id] = _read(grant)
            self.changed(account_id)

    def put_joining(self, joining: Joining) -> None:
        """As `put`."""
        if joining.version > self.joining.version:
            self.joining = joining
            self.changed("")

    def is_shut_out(self, account_id: str) -> bool:
        """What was said last of an account, for who acts on it with power: before that it was made sure of."""
        granted = self._granted.get(account_id, UNKNOWN)
        return granted.disabled or granted.waiting

    def is_stranger(self, caller: Principal) -> bool:
        """One whom the directory must be asked about before anything else: `introduce`."""
        return self.joining.introduced and self._is_unknown(caller) and not self._is_vouched_for(caller)

    def _is_unknown(self, caller: Principal) -> bool:
        return not self._granted.get(caller.account_id, UNKNOWN).known

    def _is_vouched_for(self, caller: Principal) -> bool:
        """The token gives more than every member may do, and that counts."""
        roles = (caller.proved or caller).roles
        return not (roles & self._counting).issubset((MEMBER,))

    async def introduce(self, stranger: Principal) -> None:
        """Then `of` knows what they may do. Raises errors.RpcError."""
        answer = await self.line.introduce(stranger)
        if answer.impossible:
            words = message("this account cannot be a member: its id is an e-mail address, or has spaces around it")
            raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, IMPOSSIBLE, words)
        if answer.HasField("grant"):
            self.put(stranger.account_id, answer.grant)

    def of(self, caller: Principal) -> Principal:
        """The caller with all that they may do. Raises errors.RpcError when the account is disabled, waits to be let in
        or is a stranger's, and when it is not known any more what was granted."""
        caller = caller.proved or caller
        if PROGRAM in caller.roles and PROGRAM in self._counting:
            return self._resolved(caller, UNKNOWN)
        if self.line.silent_for() > AWAY_SECONDS:
            raise errors.unavailable("directory", retry_seconds=2)
        granted = self._granted.get(caller.account_id, UNKNOWN)
        if granted.disabled:
            words = message("this account is disabled: ask an administrator of your organization")
            raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, "ACCOUNT_DISABLED", words)
        if granted.waiting and not self._is_vouched_for(caller):
            words = message("an administrator of your organization has to let you in first")
            raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, WAITING, words)
        if self.is_stranger(caller):
            raise errors.unavailable("directory", retry_seconds=2)
        return self._resolved(caller, granted)

    def _resolved(self, caller: Principal, granted: AccountGrant) -> Principal:
        """Made once for a token and a grant."""
        found = self._remembered.get(caller.account_id)
        if found and found[0] is caller and found[1] is granted:
            return found[2]
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        counting = caller.roles & self._counting
        member = granted.known or (MEMBER not in self._counting and PROGRAM not in counting)
        permissions = _together(granted.permissions, counting, member=member)
        resolved = replace(caller, roles=counting | granted.roles, permissions=permissions, proved=caller)
        self._remembered[caller.account_id] = (caller, granted, resolved)
        return resolved


def _together(granted: Permitted, token_roles: Iterable[str], *, member: bool) -> Permitted:
    everywhere = set(ORDINARY) if member else set()
    everywhere.update(*(BUILT_IN[role] for role in token_roles))
    return MappingProxyType({**granted, **dict.fromkeys(everywhere, EVERYWHERE)})


def is_power(needed: Needed) -> bool:
    """Whether it is more than seeing, and more than what every member may do."""
    return needed.permission not in ORDINARY and not needed.permission.partition(".")[2].startswith("view")


def _read(grant: Grant) -> AccountGrant:
    """Permissions that this program does not know yet are nothing to it."""
    permissions = {
        each.permission: frozenset(each.department_ids) for each in grant.permissions if each.permission in CATALOGUE
    }
    return AccountGrant(
        grant.version,
        grant.disabled,
        frozenset(grant.roles),
        MappingProxyType(permissions) if permissions else NOTHING,
        grant.waiting,
        not grant.unknown,
    )


def admits(caller: Principal, needed: Needed) -> bool:
    return caller.everywhere(needed.permission) or (needed.scoped and caller.may(needed.permission))
