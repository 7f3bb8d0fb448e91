"""Which value of a threshold is in force for an account.

Role within a department beats role, role beats department, department beats the base; for each threshold by itself.
Of departments above one another the deepest wins, and an account's own before those that are for all below.
Between overrides of equal rank (an account with two roles) the value that favours the account wins.
"""

from collections.abc import Mapping
from typing import NamedTuple

from yunhui.policy.v1.policy_service_pb2 import Account

from services.policy.document import DepartmentScope, Document, Override
from services.policy.questions import MAX_LEVELS

Values = Mapping[str, int]
MOST_KEPT = 4096
"""Scopes that are remembered: whoever asks says where an account belongs, and could make up any number of them."""
OWN = MAX_LEVELS + 1
"""As a depth: the department of the account itself."""

Rank = tuple[int, int]


class Scope(NamedTuple):
    """So much of an account as overrides can tell apart."""

    department: str | None
    roles: frozenset[str]
    above: tuple[str, ...]
    """Departments that an override is for with all below them, from the top down."""
    own: str | None


class Thresholds:
    def __init__(self, document: Document) -> None:
        self._declared = document.thresholds
        self._overrides = document.overrides
        departments = [override.department for override in document.overrides]
        scopes = [each for each in departments if isinstance(each, DepartmentScope)]
        self._names = {each for each in departments if isinstance(each, str)}
        self._with_all_below = {each.id for each in scopes if each.below}
        self._alone = {each.id for each in scopes if not each.below}
        self._roles = frozenset(override.role for override in document.overrides if override.role)
        self._in_force: dict[Scope, Values] = {}

    def in_force(self, account: Account) -> Values:
        """Remembered per scope; scopes that no override names share one entry."""
        scope = self._scope(account)
        found = self._in_force.get(scope)
        if found is None:
            if len(self._in_force) >= MOST_KEPT:
                self._in_force.clear()
            found = self._in_force[scope] = self._resolve(scope)
        return found

    def _scope(self, account: Account) -> Scope:
        department = account.department if account.department in self._names else None
        roles, path = self._roles.intersection(account.roles), account.department_path
        if not path or not (self._with_all_below or self._alone):
            return Scope(department, roles, (), None)
        above = tuple([each for each in path if each in self._with_all_below])
        return Scope(department, roles, above, path[-1] if path[-1] in self._alone else None)

    def _resolve(self, scope: Scope) -> Values:
        values = {name: threshold.value for name, threshold in self._declared.items()}
        ranks = dict.fromkeys(values, (0, 0))
        found = [(rank, override) for override in self._overrides if (rank := _rank(override, scope))]
        for rank, override in sorted(found, key=lambda each: each[0]):
            for name, value in override.thresholds.items():
                values[name] = value if rank > ranks[name] else self._kinder(name, values[name], value)
                ranks[name] = rank
        return values

    def _kinder(self, name: str, one: int, other: int) -> int:
        return max(one, other) if self._declared[name].favours == "higher" else min(one, other)


def _rank(override: Override, scope: Scope) -> Rank | None:
    """None: it is not for this account."""
    depth = _depth(override.department, scope)
    if depth is None or not (override.role is None or override.role in scope.roles):
        return None
    return (depth > 0) + 2 * (override.role is not None), depth


def _depth(department: str | DepartmentScope | None, scope: Scope) -> int | None:
    """0 for one that is for every department, else the greater the nearer to the account."""
    if department is None:
        return 0
    if isinstance(department, str):
        return OWN if department == scope.department else None
    if not department.below:
        return OWN if department.id == scope.own else None
    return scope.above.index(department.id) + 1 if department.id in scope.above else None
