"""Which value of a threshold is in force for an account.

Role within a department beats role, role beats department, department beats the base; for each threshold by itself.
Between overrides of equal rank (an account with two roles) the value that favours the account wins.
"""

from collections.abc import Iterable, Mapping

from services.policy.document import Document, Override

Values = Mapping[str, int]


class Thresholds:
    def __init__(self, document: Document) -> None:
        self._declared = document.thresholds
        self._overrides = sorted(document.overrides, key=_rank)
        self._departments = {override.department for override in document.overrides}
        self._roles = frozenset(override.role for override in document.overrides if override.role)
        self._in_force: dict[tuple[str | None, frozenset[str]], Values] = {}

    def in_force(self, department: str, roles: Iterable[str]) -> Values:
        """Remembered per scope; scopes that no override names share one entry, so callers cannot fill the memory."""
        scope = (department if department in self._departments else None, self._roles.intersection(roles))
        found = self._in_force.get(scope)
        if found is None:
            found = self._in_force[scope] = self._resolve(*scope)
        return found

    def _resolve(self, department: str | None, roles: frozenset[str]) -> Values:
        values = {name: threshold.value for name, threshold in self._declared.items()}
        ranks = dict.fromkeys(values, 0)
        for override in self._overrides:
            if override.department not in (None, department) or not (override.role is None or override.role in roles):
                continue
            for name, value in override.thresholds.items():
                values[name] = value if _rank(override) > ranks[name] else self._kinder(name, values[name], value)
                ranks[name] = _rank(override)
        return values

    def _kinder(self, name: str, one: int, other: int) -> int:
        return max(one, other) if self._declared[name].favours == "higher" else min(one, other)


def _rank(override: Override) -> int:
    return (override.department is not None) + 2 * (override.role is not None)
