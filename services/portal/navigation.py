"""The tabs beside every page: who sees which, and which one is lit."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.platform.text.messages import Text
from services.portal.calls import has_role
from services.portal.sessions import Person


@dataclass(frozen=True, slots=True)
class Tab:
    """`roles` see it, everybody when there are none; it is lit at its address, below it, and below those of `also`."""

    path: str
    icon: str
    label: Text
    roles: frozenset[str] = frozenset()
    also: Sequence[str] = ()

    def reach(self, path: str) -> int:
        """How much of the path is this tab's; 0: it is another's."""
        own = [each for each in (self.path, *self.also) if f"{path}/".startswith(f"{each.rstrip('/')}/")]
        return max((len(each) for each in own if each != "/" or path == "/"), default=0)


def tabs_for(tabs: Sequence[Tab], person: Person) -> list[Tab]:
    return [each for each in tabs if not each.roles or has_role(person, each.roles)]


def lit(tabs: Sequence[Tab], path: str) -> Tab | None:
    """The one that reaches farthest."""
    best = max(tabs, key=lambda each: each.reach(path), default=None)
    return best if best and best.reach(path) else None
