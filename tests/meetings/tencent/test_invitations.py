"""Invitations against the stand-in, where the list is replaced: nobody loses theirs, whatever goes wrong."""

import asyncio
import json
from typing import Any

import pytest

from services.meetings.provider import (
    AwayError,
    IncompleteError,
    NoSuchPersonError,
    NotPermittedError,
    ProviderError,
)
from services.meetings.steering import (
    Invite,
)
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting
from services.standin.server import Standin
from tests.meetings.builders import key
from tests.meetings.tencent.steered import acts


@pytest.fixture
def tencent(patient: Tencent) -> Tencent:
    return patient


async def test_who_is_invited_stays_invited(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """The list is replaced over there. Who is in it already is not in it twice."""
    meeting.invitees = ["zhao"]
    await tencent.do(key(meeting.meeting_id), Invite(("wang", "zhao", "wang")), "li")
    assert meeting.invitees == ["zhao", "wang"]
    sent = len(acts(standin))
    await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert (meeting.invitees, len(acts(standin))) == (["zhao", "wang"], sent)


@pytest.mark.parametrize("number", [199, 200, 201, 1999])
async def test_all_pages_of_them_are_read_before(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, number: int
) -> None:
    invited = [f"user-{each}" for each in range(number)]
    standin.cloud.users |= set(invited)
    meeting.invitees = list(invited)
    await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert meeting.invitees == [*invited, "wang"]


async def test_more_than_can_be_invited_are_not(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    meeting.invitees = [f"user-{each}" for each in range(2000)]
    with pytest.raises(ProviderError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert (len(meeting.invitees), acts(standin)) == (2000, [])


@pytest.mark.parametrize("fault", ["html", "html_as_success", "cut_off", "refusal_as_success", "empty", "error:190310"])
@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_fault_in_any_page_costs_nobody_their_invitation(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, page: int, fault: str
) -> None:
    meeting.invitees = [f"user-{each}" for each in range(500)]
    standin.faults.extend([""] * (page - 1) + [fault] * 3)
    with pytest.raises(AwayError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert (len(meeting.invitees), acts(standin)) == (500, [])


ODD_PAGES: list[dict[str, Any]] = [
    {"invitees": [{"userid": "zhao"}], "has_remaining": True, "next_pos": 0},
    {"invitees": [], "has_remaining": True, "next_pos": 200},
    {"invitees": [{"userid": ""}], "has_remaining": False},
    {"invitees": [{"nick_name": "of another enterprise"}], "has_remaining": False},
]


@pytest.mark.parametrize("page", ODD_PAGES)
async def test_a_list_that_cannot_be_read_to_its_end_is_not_replaced(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, page: dict[str, Any]
) -> None:
    """Nor one with somebody in it who could not be named again."""
    standin.canned = page
    with pytest.raises(IncompleteError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert acts(standin) == []


async def test_nobody_is_invited_anew_from_nobody(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """A null is no list, but says that there are no more."""
    standin.canned = {"invitees": None, "has_remaining": False}
    await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    [sent] = [json.loads(each.body) for each in standin.requests if each.method == "PUT"]
    assert sent["invitees"] == [{"userid": "wang"}]


async def test_who_is_unknown_over_there_is_told(tencent: Tencent, meeting: CloudMeeting) -> None:
    """The others are invited then."""
    with pytest.raises(NoSuchPersonError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang", "nobody")), "li")
    assert meeting.invitees == ["wang"]


async def test_of_two_invitations_at_once_both_count(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    names = [f"user-{each}" for each in range(10)]
    standin.cloud.users |= set(names)
    await asyncio.gather(*(tencent.do(key(meeting.meeting_id), Invite((name,)), "li") for name in names))
    assert sorted(meeting.invitees) == names


async def test_invitations_are_the_creators(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    meeting.invitees = ["zhao"]
    for other in ("", "wang", "who-left-the-organization"):
        with pytest.raises(NotPermittedError):
            await tencent.do(key(meeting.meeting_id), Invite(("wang",)), other)
    assert (meeting.invitees, acts(standin)) == (["zhao"], [])
