"""Who sees whom, as a plain model in Python, and acts of the address book in few words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yunhui.directory.v1 import address_book_service_pb2 as api
from yunhui.directory.v1 import organization_service_pb2 as organization_api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.directory import address_book, visibility
from services.directory.changes import Changes
from services.directory.scopes import Actor
from services.platform.data.database import Database
from tests.directory.conftest import ADMIN
from tests.directory.powers import actor

EVERYBODY, OWN, BELOW, CHOSEN = pb.Sight.values()[1:]
ALL_FIELDS = pb.CardField.values()[1:]

Rule = tuple[pb.Sight.ValueType, Sequence[str]]
"""What is seen, and the chosen departments."""


@dataclass(frozen=True)
class Person:
    places: Sequence[str] = ()
    hidden: bool = False
    disabled: bool = False


@dataclass(frozen=True)
class Model:
    """`tree`: the parent of each department, "" at the top."""

    tree: Mapping[str, str]
    people: Mapping[str, Person]
    sight: pb.Sight.ValueType = EVERYBODY
    rules: Mapping[str, Rule] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    def sees(self, seeker: str, other: str, scope: frozenset[str] | None) -> bool:
        them = self.people[other]
        if seeker == other:
            return True
        in_scope = scope is None or any(self.inside(each, scope) for each in them.places)
        if them.disabled or (them.hidden and not in_scope):
            return False
        if not them.places:
            return EVERYBODY in {sight for sight, _ in self._rules_of(seeker).values()}
        return any(self.sees_department(seeker, each, scope) for each in them.places)

    def sees_department(self, seeker: str, department: str, scope: frozenset[str] | None) -> bool:
        if self.inside(department, self.hidden) and not (scope is None or self.inside(department, scope)):
            return False
        return any(
            sight == EVERYBODY
            or (sight == OWN and department == own)
            or (sight == BELOW and self.inside(department, {own}))
            or (sight == CHOSEN and self.inside(department, chosen))
            for own, (sight, chosen) in self._rules_of(seeker).items()
        )

    def inside(self, department: str, roots: Any) -> bool:
        return any(each in roots for each in self.climb(department))

    def climb(self, department: str) -> Iterator[str]:
        while department:
            yield department
            department = self.tree[department]

    def _rules_of(self, seeker: str) -> Mapping[str, Rule]:
        """By the seeker's departments; of who has none, by none."""
        usual: Rule = (self.sight, ())
        return {
            own: next((self.rules[each] for each in self.climb(own) if each in self.rules), usual)
            for own in self.people[seeker].places or [""]
        }


def named(ids: Any) -> list[pb.NamedDepartment]:
    return [pb.NamedDepartment(department_id=each) for each in ids]


def rules_of(rules: Mapping[str, Rule]) -> organization_api.VisibilityRules:
    made = [
        pb.VisibilityRule(department=named([where])[0], sight=sight, chosen=named(chosen))
        for where, (sight, chosen) in rules.items()
    ]
    return organization_api.VisibilityRules(rules=made)


async def put(changes: Changes, **given: Any) -> pb.Visibility:
    """As the next version. `rules` as in Model, `hidden` as ids, `fields` as a list."""
    version = (await visibility.get(changes.database)).version
    if "rules" in given:
        given["rules"] = rules_of(given["rules"])
    if "hidden" in given:
        given["hidden_departments"] = organization_api.NamedDepartments(departments=named(given.pop("hidden")))
    if "fields" in given:
        given["fields"] = organization_api.CardFields(fields=given["fields"])
    return await visibility.update(changes, organization_api.UpdateVisibilityRequest(version=version, **given), ADMIN)


def seeker(account_id: str, scope: frozenset[str] | None = frozenset()) -> Actor:
    """Who may see members in the console of that scope: of none, unless it is said."""
    if scope == frozenset():
        return actor(account_id)
    return actor(account_id, members_view=tuple(scope or ()))


async def pages_of(database: Database, by: Actor, size: int = 2, **asked: Any) -> list[api.Colleague]:
    """All that there are, page by page."""
    found, token = list[api.Colleague](), ""
    while True:
        request = api.ListColleaguesRequest(page_size=size, page_token=token, **asked)
        page = await address_book.list_(database, request, by)
        assert len(page.colleagues) <= size
        found += page.colleagues
        if not (token := page.next_page_token):
            return found


async def found(database: Database, by: Actor, **asked: Any) -> list[str]:
    return [each.account_id for each in await pages_of(database, by, **asked)]


async def card(database: Database, by: Actor, account_id: str) -> api.Colleague:
    return await address_book.get_colleague(database, api.GetColleagueRequest(account_id=account_id), by)


async def walk(database: Database, by: Actor) -> list[str]:
    """All departments that one comes to from the top, each once."""
    met, left = list[str](), [""]
    while left:
        parent, token = left.pop(), ""
        while True:
            request = api.ListColleagueDepartmentsRequest(parent_id=parent, page_size=1, page_token=token)
            page = await address_book.list_departments(database, request, by)
            met += [each.department_id for each in page.departments]
            left += [each.department_id for each in page.departments if each.has_children]
            if not (token := page.next_page_token):
                break
    return met
