"""Who sees whom: for any tree, memberships and rules the databases say what a plain model says."""

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.directory import member_queries
from services.directory.changes import Changes
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP, ORGANIZATION
from tests.directory.people import add, department, memberships
from tests.directory.sights import (
    ALL_FIELDS,
    BELOW,
    CHOSEN,
    EVERYBODY,
    OWN,
    Model,
    Person,
    card,
    found,
    pages_of,
    put,
    seeker,
    walk,
)
from tests.directory.tree import refused

IDS = ["d0", "d1", "d2", "d3", "d4", "d5"]
PLACES = st.lists(st.sampled_from(IDS), max_size=3, unique=True)
TREES = st.tuples(*(st.integers(-1, number - 1) for number in range(len(IDS)))).map(
    lambda above: {IDS[number]: IDS[parent] if parent >= 0 else "" for number, parent in enumerate(above)}
)
RULES = st.dictionaries(
    st.sampled_from(IDS),
    st.one_of(
        st.tuples(st.sampled_from([EVERYBODY, OWN, BELOW]), st.just([])),
        st.tuples(st.just(CHOSEN), st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True)),
    ),
    max_size=3,
)
PEOPLE = st.lists(
    st.builds(Person, PLACES, hidden=st.booleans()),
    min_size=1,
    max_size=5,
)
MODELS = st.builds(
    lambda tree, people, sight, rules, hidden: Model(
        tree, {f"m{number}": each for number, each in enumerate(people)}, sight, rules, hidden
    ),
    TREES,
    PEOPLE,
    st.sampled_from([EVERYBODY, OWN, BELOW]),
    RULES,
    st.frozensets(st.sampled_from(IDS), max_size=1),
)
SCOPES = st.one_of(st.just(frozenset[str]()), st.none(), st.frozensets(st.sampled_from(IDS), min_size=1, max_size=2))


async def settle(changes: Changes, model: Model) -> None:
    """In place of all that was there."""
    with changes.database.engine.begin() as connection:
        for table in (MEMBERSHIP, MEMBER, DEPARTMENT):
            connection.execute(sa.delete(table))
        connection.execute(sa.update(ORGANIZATION).values(visibility=None))
        for each, parent in model.tree.items():
            department(connection, each, each.upper(), parent)
    for account_id, person in model.people.items():
        await add(changes, account_id, "王伟", memberships=memberships(*person.places), hidden=person.hidden)
    await put(changes, sight=model.sight, rules=model.rules, hidden=model.hidden, fields=ALL_FIELDS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(model=MODELS, scope=SCOPES, many=st.sampled_from([0, 5_000]), place=st.sampled_from(IDS), below=st.booleans())
async def test_the_databases_say_what_the_model_says(
    changes: Changes, model: Model, scope: frozenset[str] | None, many: int, place: str, below: bool
) -> None:
    await settle(changes, model)
    database, by = changes.database, seeker("m0", scope)
    seen = [each for each in model.people if model.sees("m0", each, scope)]
    visible = {each for each in IDS if model.sees_department("m0", each, scope)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(member_queries, "MANY", many)
        assert await found(database, by) == seen
        there = {each for each in visible if (model.inside(each, {place}) if below else each == place)}
        wanted = [each for each in seen if there.intersection(model.people[each].places)]
        assert await found(database, by, department_id=place, below=below) == wanted
        called = [each for each in seen if visible.intersection(model.people[each].places).intersection({place})]
        assert await found(database, by, query=place.upper()) == called
    assert sorted(await walk(database, by)) == sorted(visible)
    for each, person in model.people.items():
        if each in seen:
            shown = await card(database, by, each)
            assert {one.department_id for one in shown.departments} == visible.intersection(person.places)
            assert shown.hidden == hidden_from_others(model, person)
        else:
            assert await refused(card(database, by, each)) == "NOT_FOUND COLLEAGUE_NOT_FOUND"


def hidden_from_others(model: Model, person: Person) -> bool:
    return person.hidden or (bool(person.places) and all(model.inside(each, model.hidden) for each in person.places))


TREE: Mapping[str, str] = {"a": "", "ab": "a", "abc": "ab", "x": "", "xy": "x"}
HOUSE = {
    "top": Person(["a"]),
    "mid": Person(["ab"]),
    "low": Person(["abc"]),
    "both": Person(["ab", "xy"]),
    "far": Person(["xy"]),
    "free": Person(),
}
ALL = sorted(HOUSE)


@pytest.mark.parametrize(
    ("who", "settings_", "seen"),
    [
        ("mid", {}, ALL),
        ("free", {}, ALL),
        ("mid", {"sight": OWN}, ["both", "mid"]),
        ("mid", {"sight": BELOW}, ["both", "low", "mid"]),
        ("top", {"sight": BELOW}, ["both", "low", "mid", "top"]),
        ("free", {"sight": OWN}, ["free"]),
        ("free", {"sight": BELOW}, ["free"]),
        ("both", {"sight": OWN}, ["both", "far", "mid"]),
        # a rule is for its department and all below, and the nearest counts
        ("low", {"sight": OWN, "rules": {"a": (EVERYBODY, [])}}, ALL),
        ("low", {"rules": {"a": (EVERYBODY, []), "abc": (OWN, [])}}, ["low"]),
        ("mid", {"rules": {"a": (OWN, []), "abc": (EVERYBODY, [])}}, ["both", "mid"]),
        ("top", {"sight": OWN, "rules": {"ab": (EVERYBODY, [])}}, ["top"]),
        # chosen departments, with those below, and not one's own
        ("mid", {"rules": {"ab": (CHOSEN, ["x"])}}, ["both", "far", "mid"]),
        ("low", {"rules": {"ab": (CHOSEN, ["x"])}}, ["both", "far", "low"]),
        ("mid", {"rules": {"ab": (CHOSEN, ["x", "a"])}}, ["both", "far", "low", "mid", "top"]),
        # of several departments each shows what it shows
        ("both", {"sight": OWN, "rules": {"xy": (CHOSEN, ["abc"])}}, ["both", "low", "mid"]),
        ("both", {"sight": OWN, "rules": {"x": (EVERYBODY, [])}}, ALL),
        # hidden departments, with those below; who is elsewhere too is seen there
        ("far", {"hidden": ["ab"]}, ["both", "far", "free", "top"]),
        ("mid", {"hidden": ["ab"]}, ["both", "far", "free", "mid", "top"]),
        ("mid", {"hidden": ["abc"]}, ["both", "far", "free", "mid", "top"]),
        ("mid", {"sight": OWN, "hidden": ["ab"]}, ["mid"]),
        ("top", {"rules": {"a": (CHOSEN, ["x"])}, "hidden": ["xy"]}, ["top"]),
    ],
)
async def test_each_rule_at_its_boundary(
    changes: Changes, who: str, settings_: Mapping[str, Any], seen: list[str]
) -> None:
    await settle(changes, Model(TREE, HOUSE))
    if settings_:
        await put(changes, **settings_)
    assert sorted(await found(changes.database, seeker(who))) == seen
    model = Model(
        TREE,
        HOUSE,
        settings_.get("sight", EVERYBODY),
        settings_.get("rules", {}),
        frozenset(settings_.get("hidden", ())),
    )
    assert sorted(each for each in HOUSE if model.sees(who, each, frozenset())) == seen


async def test_who_is_hidden_is_seen_by_themselves_and_by_whoever_sees_members_there(changes: Changes) -> None:
    await settle(changes, Model(TREE, {**HOUSE, "veiled": Person(["abc"], hidden=True)}))
    database = changes.database
    for by, seen in (
        (seeker("mid"), False),
        (seeker("veiled"), True),
        (seeker("far", frozenset({"ab"})), True),
        (seeker("far", frozenset({"x"})), False),
        (seeker("far", None), True),
    ):
        assert ("veiled" in await found(database, by)) is seen
        assert [each.hidden for each in await pages_of(database, by) if each.account_id == "veiled"] == [True] * seen
    assert not any(each.hidden for each in await pages_of(database, seeker("far")))


async def test_a_holder_of_members_view_is_bound_by_the_rules_like_everybody(changes: Changes) -> None:
    """The console shows them the others."""
    await settle(changes, Model(TREE, HOUSE))
    await put(changes, sight=OWN)
    assert await found(changes.database, seeker("far", None)) == ["both", "far"]
