"""`yunhui colleagues` and `yunhui organization visibility` against a directory that is made up."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from yunhui.directory.v1 import address_book_service_pb2 as api
from yunhui.directory.v1 import organization_service_pb2 as organization_api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.cli import visibility
from services.platform.clock import to_timestamp
from tests.cli.played import Played
from tests.cli.test_directory import ANSWERS, MONDAY, id_of

LI = api.Colleague(
    account_id="li",
    display_name="李伟",
    title="[red]",
    email="li@example.org",
    departments=[pb.NamedDepartment(department_id="dpt_1", path="计算所/网络中心")],
    hidden=True,
)
SETTINGS = pb.Visibility(
    address_book_shown=True,
    fields=[pb.CARD_FIELD_TITLE, pb.CARD_FIELD_EMAIL],
    sight=pb.SIGHT_OWN_DEPARTMENT,
    rules=[
        pb.VisibilityRule(
            department=pb.NamedDepartment(department_id=id_of("网络中心"), path="计算所/网络中心"),
            sight=pb.SIGHT_CHOSEN_DEPARTMENTS,
            chosen=[pb.NamedDepartment(department_id=id_of("Physics"), path="Physics")],
        )
    ],
    hidden_departments=[pb.NamedDepartment(department_id=id_of("行政处"), path="计算所/行政处")],
    version=7,
    update_time=to_timestamp(MONDAY),
)
BRANCHES = {
    "": [api.ColleagueDepartment(department_id="a", display_name="计算所", path="计算所", has_children=True)],
    "a": [api.ColleagueDepartment(department_id="b", display_name="网络中心", path="计算所/网络中心")],
}


def page_of(request: api.ListColleaguesRequest) -> api.ListColleaguesResponse:
    """There is always one more."""
    return api.ListColleaguesResponse(colleagues=[LI] * request.page_size, next_page_token="more")


MORE: Mapping[str, Callable[[Any], Message]] = {
    "ListColleagues": page_of,
    "GetColleague": lambda _: api.GetColleagueResponse(colleague=LI),
    "ListColleagueDepartments": lambda asked: api.ListColleagueDepartmentsResponse(
        departments=BRANCHES.get(asked.parent_id, [])
    ),
    "GetVisibility": lambda _: organization_api.GetVisibilityResponse(visibility=SETTINGS),
    "UpdateVisibility": lambda _: organization_api.UpdateVisibilityResponse(visibility=SETTINGS),
}


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    made = Played({**ANSWERS, **MORE}, tmp_path, monkeypatch)
    yield made
    made.server.stop(None).wait()


def test_colleagues_are_listed_up_to_the_limit(played: Played) -> None:
    said = played.said("colleagues", "list", "lw", "--limit", "501", "--department", "计算所/网络中心", "--below")
    assert said.count("李伟") == 501
    assert all(word in said for word in ("[red]", "计算所/网络中心", "There are more"))
    assert [(each.query, each.page_size, each.page_token) for each in played.asked] == [
        ("lw", 500, ""),
        ("lw", 1, "more"),
    ]
    assert {(each.department_id, each.below) for each in played.asked} == {("b", True)}
    assert len(json.loads(played.said("colleagues", "--json"))["colleagues"]) == 50


def test_a_department_that_one_does_not_see_is_none(played: Played) -> None:
    for path in ("计算所/none", "计算", "网络中心"):
        assert played.run("colleagues", "list", "--department", path).exit_code == 4
    assert [word in played.said("colleagues", "departments", "--under", "计算所") for word in ("网络中心", "a ")] == [
        True,
        False,
    ]


def test_a_card_says_what_it_says(played: Played) -> None:
    said = played.said("colleagues", "show", "li", lang="zh-CN")
    assert all(word in said for word in ("李伟", "li@example.org", "计算所/网络中心", "对他人隐藏"))
    assert "电话" not in said


def test_settings_are_shown_in_words(played: Played) -> None:
    said = played.said("organization", "visibility", lang="zh-CN")
    for words in ("所在部门", "计算所/网络中心及其下级部门可以看到：Physics", "计算所/行政处", "不展示", "2026-03-02"):
        assert words in said
    shown = json.loads(played.said("organization", "visibility", "show", "--json"))
    assert shown["sight"] == "SIGHT_OWN_DEPARTMENT"


def test_what_is_not_said_stays(played: Played) -> None:
    """Lists are sent whole: what was there, and what is new."""
    at = ("organization", "visibility")
    played.said(*at, "set", "--no-tree", "--card", "email", "--card", "staff-id", "--sees", "everybody")
    played.said(*at, "set", "--card", "")
    played.said(
        *at, "rule", "计算所", "--sees", "chosen-departments", "--chosen", "Physics", "--chosen", "计算所/行政处"
    )
    played.said(*at, "rule", "计算所/网络中心", "--sees", "own-department")
    played.said(*at, "delete-rule", "计算所/网络中心")
    played.said(*at, "hide", "Physics")
    played.said(*at, "unhide", "计算所/行政处")
    whole, none, new, other, gone, more, less = played.asked
    assert {each.version for each in played.asked} == {7}
    assert (whole.HasField("address_book_shown"), whole.departments_shown) == (False, False)
    assert ([*whole.fields.fields], whole.sight) == ([pb.CARD_FIELD_EMAIL, pb.CARD_FIELD_STAFF_ID], pb.SIGHT_EVERYBODY)
    assert (none.HasField("fields"), [*none.fields.fields], none.HasField("sight")) == (True, [], False)
    assert [rule.department.department_id for rule in new.rules.rules] == [id_of("网络中心"), id_of("计算所")]
    assert [each.department_id for each in new.rules.rules[1].chosen] == [id_of("Physics"), id_of("行政处")]
    assert [rule.sight for rule in other.rules.rules] == [pb.SIGHT_OWN_DEPARTMENT]
    assert (gone.HasField("rules"), len(gone.rules.rules)) == (True, 0)
    assert {each.department_id for each in more.hidden_departments.departments} == {id_of("行政处"), id_of("Physics")}
    assert (less.HasField("hidden_departments"), len(less.hidden_departments.departments)) == (True, 0)
    assert played.run(*at, "set").exit_code == 2
    assert played.run(*at, "set", "--sees", "nobody").exit_code == 2


def test_a_member_is_hidden_and_shown_again(played: Played) -> None:
    played.said("members", "update", "zhang", "--hidden")
    played.said("members", "update", "zhang", "--not-hidden")
    assert [(each.HasField("hidden"), each.hidden) for each in played.asked] == [(True, True), (True, False)]


def test_every_value_of_the_contract_has_a_word() -> None:
    assert set(visibility.SIGHTS) == set(pb.Sight.values()) - {0}
    assert set(visibility.FIELDS) == set(pb.CardField.values()) - {0}
