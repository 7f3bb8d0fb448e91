"""Filters of identity providers: SQL finds whom the filter's own meaning finds, and what is too much is refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scim2_models import ScimFilter

from services.directory.changes import Changes
from services.directory.scim.filters import MOST_COMPARISONS
from services.directory.scim.schemas import MOST_BYTES, MOST_OPERATIONS, DescribedUser
from services.directory.scim.service import LONGEST_EXPRESSION
from tests.directory.people import add
from tests.directory.scim import BULK, ENTERPRISE, GROUP, PATCH, USER, Idp, refusal, token

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


@pytest.fixture
async def idp(changes: Changes) -> AsyncIterator[Idp]:
    """With Anna and Bob from an identity provider, Carl by hand, and a department of Bob and Carl."""
    await add(changes, "Carl", "Carl 100%", email="carl@example.org", phone="+8613800138000")
    async with Idp(changes, await token(changes)) as made:
        emails = [{"value": "anna@example.org", "type": "home", "primary": True}]
        more = {"displayName": "Anna_A", "title": "Dr", ENTERPRISE: {"employeeNumber": "7"}}
        await made.add("Anna@Example.org", "anna", emails=emails, **more)
        await made.add("bob", displayName="Bob", active=False, name={"familyName": "B"})
        await made.add_group("Lab", "bob", "Carl", externalId="lab")
        yield made


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ('userName eq "anna@example.ORG"', ["Anna_A"]), ('userName eq "CARL"', ["Carl 100%"]),
        ('userName sw "anna@"', ["Anna_A"]), ('userName ne "bob"', ["Carl 100%", "Anna_A"]), ("userName pr", 3),
        ('externalId eq "anna"', ["Anna_A"]), ('externalId eq "Anna"', []), ('externalId eq "Carl"', ["Carl 100%"]),
        ("externalId pr", ["Carl 100%", "Anna_A"]), ("not (externalId pr)", ["Bob"]), ("externalId eq null", ["Bob"]),
        ('externalId ne "anna"', ["Carl 100%", "Bob"]), ('id eq "bob"', ["Bob"]), ('id eq "@"', []),
        ('displayName co "_"', ["Anna_A"]), ('displayName co "%"', ["Carl 100%"]), ('displayName sw "b"', ["Bob"]),
        ('displayName ew "a_a"', ["Anna_A"]), ('displayName eq "BOB"', ["Bob"]),
        ('emails eq "ANNA@example.org"', ["Anna_A"]), ('emails.value ew "example.org"', ["Carl 100%", "Anna_A"]),
        ('emails[type eq "work" and value co "@"]', ["Carl 100%"]), ('emails[type eq "home"].value sw "a"', ["Anna_A"]),
        ("emails[primary eq true]", ["Carl 100%", "Anna_A"]), ("not (emails pr)", ["Bob"]),
        ('phoneNumbers.value eq "+8613800138000"', ["Carl 100%"]), ("phoneNumbers pr", ["Carl 100%"]),
        ("active eq false", ["Bob"]), ("active eq true", ["Carl 100%", "Anna_A"]), ("title pr", ["Anna_A"]),
        ('not (title eq "dr")', ["Carl 100%", "Bob"]), ('title ne "dr"', ["Carl 100%", "Bob"]),
        ('name.familyName eq "b"', ["Bob"]), ("name pr", ["Bob"]), ('name.givenName eq "x"', []),
        (f'{ENTERPRISE}:employeeNumber eq "7"', ["Anna_A"]), ("groups pr", ["Carl 100%", "Bob"]),
        ('meta.created gt "2026-03-02T01:59:59Z"', 3), ('meta.lastModified lt "2026-03-02T10:00:00+08:00"', []),
        ('userName eq "bob" or userName eq "carl" and active eq true', ["Carl 100%", "Bob"]),
        ('(userName eq "bob" or userName eq "carl") and active eq true', ["Carl 100%"]),
        (f'not ({"(" * 100}userName eq "bob"{")" * 100})', ["Carl 100%", "Anna_A"]),
        (" or ".join(['userName eq "bob"'] * MOST_COMPARISONS), ["Bob"]),
    ],
)  # fmt: skip
async def test_users_are_found(idp: Idp, asked: str, names: list[str] | int) -> None:
    found = await idp.names(asked)
    assert (len(found) if isinstance(names, int) else found) == (names if isinstance(names, int) else sorted(names))


async def test_users_are_found_by_their_groups(idp: Idp) -> None:
    [lab] = (await idp.get("/Groups"))["Resources"]
    for asked in (f'groups eq "{lab["id"]}"', f'groups.value eq "{lab["id"]}"', f'groups[value eq "{lab["id"]}"]'):
        assert await idp.names(asked) == ["Bob", "Carl 100%"]
    assert await idp.names(f'groups.value ne "{lab["id"]}"') == ["Anna_A"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ('displayName eq "LAB"', ["Lab"]), ('displayName co "x"', []), ('externalId eq "lab"', ["Lab"]),
        ('members eq "Carl"', ["Lab"]), ('members[value eq "anna"]', []), ("members pr", ["Lab"]),
        ('not (members.value eq "bob")', []), ('meta.created gt "2020-01-01T00:00:00Z"', ["Lab"]),
    ],
)  # fmt: skip
async def test_groups_are_found(idp: Idp, asked: str, names: list[str]) -> None:
    assert await idp.names(asked, "Groups") == names


@pytest.mark.parametrize(
    "asked",
    [
        "", "userName", 'userName eq "a', 'userName is "a"', 'nothing eq "a"', "userName eq 1", 'active eq "yes"',
        'externalId sw "a"', 'userName gt "a"', f'{ENTERPRISE}:department eq "x"', 'meta.created gt "yesterday"',
        'meta.resourceType eq "User"', 'groups[value eq "a" or value eq "b"]', 'userName eq "\\u0000"',
        'userName eq "\\ud800"', "not (" * 100 + "userName pr" + ")" * 100,
        " or ".join(['userName eq "bob"'] * (MOST_COMPARISONS + 1)), " or ".join(["userName pr"] * 5000),
        f'userName eq "{"x" * LONGEST_EXPRESSION}"',
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_said(idp: Idp, asked: str) -> None:
    """The same by both ways."""
    answer = await idp.ask("POST", "/Users/.search", {"schemas": [SEARCH], "filter": asked})
    assert refusal(answer) == (400, "invalidFilter")
    if len(asked) < LONGEST_EXPRESSION:
        assert refusal(await idp.ask("GET", "/Users", params={"filter": asked})) == (400, "invalidFilter")


TEXTS = st.sampled_from(
    ["anna", "ANNA@example.org", "bob", "carl", "Carl 100%", "dr", "a", "_", "%", "example.org", "7", ""]
)
LEAVES = st.one_of(
    st.builds(
        '{} {} "{}"'.format,
        st.sampled_from(["userName", "displayName", "title", "emails.value", "name.familyName", "phoneNumbers.value"]),
        st.sampled_from(["eq", "ne", "co", "sw", "ew"]),
        TEXTS,
    ),
    st.builds('{} {} "{}"'.format, st.sampled_from(["externalId", "id"]), st.sampled_from(["eq", "ne"]), TEXTS),
    st.sampled_from(
        ["title pr", "emails pr", "externalId pr", "name.familyName pr", "active eq true", 'emails[type eq "work"]']
    ),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
    ),
    max_leaves=6,
)


async def test_sql_finds_what_the_filter_means(idp: Idp) -> None:
    everybody = (await idp.get("/Users"))["Resources"]
    users = [DescribedUser.model_validate(each) for each in everybody]
    asked_for: list[str] = []

    @settings(max_examples=150, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(FILTERS)
    def collect(asked: str) -> None:
        asked_for.append(asked)

    collect()
    bind: Any = ScimFilter[DescribedUser]  # type: ignore[valid-type] # a class that is made when it runs
    for asked in dict.fromkeys(asked_for):
        meant = sorted(str(each.display_name) for each in users if bind(asked).match(each))
        assert await idp.names(asked) == meant, asked


async def test_pages_are_by_index_and_name_everybody_once(changes: Changes, idp: Idp) -> None:
    for number in range(7):
        await add(changes, f"x{number}")
    seen: list[str] = []
    for start in (1, 5, 9, 13):
        page = await idp.get("/Users", startIndex=start, count=4)
        assert (page["totalResults"], page["startIndex"]) == (10, start)
        seen += [each["id"] for each in page.get("Resources", [])]
    assert sorted(seen) == ["Carl", "anna", "bob", *(f"x{number}" for number in range(7))]
    assert (await idp.get("/Users", count=0, filter="userName pr"))["totalResults"] == 10
    assert (await idp.get("/Users", startIndex=10**12))["totalResults"] == 10
    everything = await idp.ask("POST", "/.search", {"schemas": [SEARCH], "startIndex": 9, "count": 5})
    assert [each["meta"]["resourceType"] for each in everything.json()["Resources"]] == ["User", "User", "Group"]
    assert everything.json()["totalResults"] == 11


async def test_members_are_left_out_where_nobody_asks_for_them(idp: Idp) -> None:
    found = await idp.get("/Groups", excludedAttributes="members")
    assert ["members" in each for each in found["Resources"]] == [False]
    found = await idp.get("/Groups", attributes="displayName")
    assert ["members" in each for each in found["Resources"]] == [False]


async def test_what_is_too_large_is_refused_before_it_is_read_closely(idp: Idp) -> None:
    config = await idp.get("/ServiceProviderConfig")
    assert config["bulk"] == {"supported": True, "maxOperations": MOST_OPERATIONS, "maxPayloadSize": MOST_BYTES}
    operation = {"method": "DELETE", "path": "/Users/x"}
    body = {"schemas": [BULK], "Operations": [operation] * 10_000}
    assert refusal(await idp.ask("POST", "/Bulk", body)) == (413, None)
    body["Operations"] = [operation] * MOST_OPERATIONS
    answer = await idp.ask("POST", "/Bulk", body | {"failOnErrors": 1})
    assert [each["status"] for each in answer.json()["Operations"]] == ["404"]
    patch = {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "title"}] * (MOST_OPERATIONS + 1)}
    assert refusal(await idp.ask("PATCH", "/Users/bob", patch)) == (413, None)
    patch["Operations"] = [{"op": "remove", "path": f'emails[value eq "{"x" * LONGEST_EXPRESSION}"]'}]
    assert refusal(await idp.ask("PATCH", "/Users/bob", patch)) == (400, "invalidPath")
    for path in ("/Users", "/Groups", "/Bulk", "/Users/.search"):
        large = {"schemas": [USER], "userName": "x" * MOST_BYTES}
        assert refusal(await idp.ask("POST", path, large)) == (413, None)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "invalidSyntax"), (b"{", 400, "invalidSyntax"), (b"[" * 100_000, 400, "invalidSyntax"),
        (b"null", 400, "invalidSyntax"), (b'{"userName":"\xff"}', 400, "invalidSyntax"), (b"{}", 400, "invalidValue"),
    ],
)  # fmt: skip
async def test_bodies_that_are_none_are_refused(idp: Idp, body: bytes, status: int, kind: str) -> None:
    answer = await idp.ask("POST", "/Users", content=body, headers={"Content-Type": "application/scim+json"})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "user",
    [
        {"userName": ""}, {"userName": "x" * 257}, {"userName": "a\u0000"}, {"userName": "a", "title": "x" * 101},
        {"userName": "a", "emails": [{"value": "nobody"}]}, {"userName": "a", "displayName": "a\u202eb"},
        {"userName": "a", ENTERPRISE: {"department": "A//B"}}, {"userName": "a", "active": "perhaps"},
        {"userName": "a", ENTERPRISE: {"department": "/".join("A" * 65)}},
        {"userName": "a", "externalId": "a@example.org"}, {"userName": "a", "externalId": "x" * 129},
    ],
)  # fmt: skip
async def test_users_that_cannot_be_are_refused_and_leave_nothing(idp: Idp, user: dict[str, Any]) -> None:
    answer = await idp.ask("POST", "/Users", {"schemas": [USER, ENTERPRISE], **user})
    assert answer.status_code in (400, 409), answer.text
    assert (await idp.get("/Users"))["totalResults"] == 3
    assert (await idp.get("/Groups"))["totalResults"] == 1


async def test_groups_that_cannot_be_are_refused(idp: Idp) -> None:
    for name in ("", "A/B", "x" * 101):
        answer = await idp.ask("POST", "/Groups", {"schemas": [GROUP], "displayName": name})
        assert refusal(answer) == (400, "invalidValue")
    assert refusal(await idp.ask("POST", "/Groups", {"schemas": [GROUP], "displayName": "Lab"})) == (409, "uniqueness")
