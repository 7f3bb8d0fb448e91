"""The doors at the top of every page and the tabs beside it: who sees which, and which one is lit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.platform.text.messages import Text
from services.portal.sessions import Person


@dataclass(frozen=True, slots=True)
class Tab:
    """Lit at its address, below it, and below those of `also`. With a permission, for those who have it."""

    path: str
    icon: str
    label: Text
    permission: str = ""
    also: Sequence[str] = ()

    def reach(self, path: str) -> int:
        """How much of the path is this tab's; 0: it is another's."""
        own = [each for each in (self.path, *self.also) if f"{path}/".startswith(f"{each.rstrip('/')}/")]
        return max((len(each) for each in own if each != "/" or path == "/"), default=0)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the portal behind a door of its own: all below its address. Who has no tab there sees no door."""

    path: str
    label: Text
    tabs: Sequence[Tab]
    deep: bool = False
    """Its pages say where in it they are."""


def areas_for(areas: Sequence[Area], person: Person) -> list[Area]:
    """With the tabs that the person sees."""
    own = [replace(each, tabs=tabs_for(each.tabs, person)) for each in areas]
    return [each for each in own if each.tabs]


def area_at(areas: Sequence[Area], path: str) -> Area | None:
    """The deepest one; the first where none is."""
    inside = [each for each in areas if f"{path}/".startswith(f"{each.path.rstrip('/')}/")]
    return max(inside, key=lambda each: len(each.path), default=areas[0] if areas else None)


def tabs_for(tabs: Sequence[Tab], person: Person) -> list[Tab]:
    return [each for each in tabs if not each.permission or each.permission in person.permissions]


def lit(tabs: Sequence[Tab], path: str) -> Tab | None:
    """The one that reaches farthest."""
    best = max(tabs, key=lambda each: each.reach(path), default=None)
    return best if best and best.reach(path) else None
