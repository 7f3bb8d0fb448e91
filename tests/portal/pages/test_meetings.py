"""Running meetings, steered from a page without JavaScript: each verb on the simulated provider, each told truly."""

import csv
import io
import re
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.portal.pages.desk import Desk, member
from tests.portal.pages.hall import (
    Hall,
    acts,
    addresses,
    banners,
    follow,
    form_at,
    inside,
    listed,
    make,
    once,
    open_hall,
    order,
    press,
    value_of,
    waiting,
)
from tests.portal.pages.serving import Portal
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system


@pytest.fixture
def support(portal: Portal, client: httpx2.Client) -> Desk:
    return Desk(portal, client, "support", "support")


@pytest.fixture
def hall(stack: Stack, desk: Desk, request: pytest.FixtureRequest) -> Hall:
    """A meeting of this test alone."""
    return open_hall(stack, desk, f"Hall of {request.node.name}"[:90])


def test_one_person_is_muted_stopped_promoted_and_renamed(desk: Desk, hall: Hall) -> None:
    """Each act is seen on the page that follows, with who did it and why below."""
    hall.play("camera", "wang.fang", "on")
    hall.play("share", "wang.fang", "on")
    wait_for(lambda: "Shares the screen" in inside(desk.text(hall.address))["王芳"])
    page = press(desk, hall, "王芳", "mute", reason="too loud").text
    assert banners(page) == ["good: Microphone · 王芳 – Done."]
    assert "Muted" in inside(page)["王芳"]
    assert "too loud" in page.partition('id="acts"')[2]
    page = press(desk, hall, "王芳", "unmute").text
    assert banners(page) == ["good: Microphone · 王芳 – Done."]
    page = press(desk, hall, "王芳", "stop-video").text
    assert "Camera off" in inside(page)["王芳"]
    page = press(desk, hall, "王芳", "stop-sharing").text
    assert "Shares the screen" not in inside(page)["王芳"]
    page = press(desk, hall, "王芳", "co-host").text
    assert "Co-host" in inside(page)["王芳"]
    page = press(desk, hall, "王芳", "no-co-host").text
    assert "Co-host" not in inside(page)["王芳"]
    page = press(desk, hall, "王芳", "rename", display_name="Wang <b>").text
    assert "Wang <b>" in inside(page)
    assert len(acts(page)) == 7
    assert all(each.endswith(" Done") for each in acts(page))


def test_a_name_that_cannot_be_is_said_beside_its_field(desk: Desk, hall: Hall) -> None:
    value = value_of(desk.text(hall.address), "王芳")
    menu = desk.text(f"{hall.to('person')}&person={value}")
    fields = form_at(menu, hall.to("person"))
    answer = desk.send(hall.to("person"), fields | {"act": "rename", "display_name": "x" * 21})
    assert answer.status_code == 422
    assert 'id="fault-display_name"' in answer.text
    assert f'value="{"x" * 21}"' in answer.text
    assert desk.send(hall.to("person"), fields | {"act": "fly"}).status_code == 404


def test_people_are_let_in_from_the_waiting_room_and_sent_there(desk: Desk, hall: Hall) -> None:
    for who in ("he.peng", "anna", "chen.jie", "zhou.yan"):
        hall.play("wait", who)
    page = once(desk, hall.address, lambda text: len(waiting(text)) == 4)
    ids = dict(zip(waiting(page), re.findall(r'name="admit" value="([^"]*)"', page), strict=True))
    page = order(desk, hall, "waiting", admit=ids["he.peng"]).text
    assert banners(page) == ["good: Admitted · he.peng – Done."]
    assert "he.peng" in inside(page)
    page = order(desk, hall, "waiting", away=ids["anna"]).text
    assert banners(page) == ["good: Turned away · anna – Done."]
    assert waiting(page) == ["chen.jie", "zhou.yan"]
    page = press(desk, hall, "he.peng", "wait").text
    assert sorted(waiting(page)) == ["chen.jie", "he.peng", "zhou.yan"]
    page = order(desk, hall, "waiting", all="1").text
    assert waiting(page) == []
    assert {"chen.jie", "he.peng", "zhou.yan"} <= set(inside(page))


def test_whoever_is_removed_without_return_stays_out(desk: Desk, hall: Hall) -> None:
    page = press(desk, hall, "赵敏", "remove").text
    assert "赵敏" not in inside(page)
    hall.play("enter", "zhao.min", "--name", "赵敏")
    wait_for(lambda: "赵敏" in inside(desk.text(hall.address)))
    page = press(desk, hall, "赵敏", "remove-for-good").text
    assert "赵敏" not in inside(page)
    again = hall.stack.login("booker", "zhao.min").yunhui("simulate", "enter", hall.code)
    assert again.code != 0


def test_the_whole_meeting_is_muted_and_locked(desk: Desk, hall: Hall) -> None:
    """Nobody else enters a locked one; what is not chosen stays as it is."""
    page = order(desk, hall, "settings", mute_all="on").text
    assert banners(page) == ["good: Settings of the meeting changed – Done."]
    assert [words.count("Muted") for name, words in inside(page).items() if name != "李伟"] == [1, 1]
    order(desk, hall, "settings", locked="on")
    outside = hall.stack.login("booker", "he.peng")
    assert outside.yunhui("simulate", "enter", hall.code).code != 0
    page = order(desk, hall, "settings", locked="off", chat="CHAT_HOSTS", waiting_room="on").text
    assert banners(page) == ["good: Settings of the meeting changed – Done."]
    assert outside.yunhui("simulate", "enter", hall.code).code == 0
    assert wait_for(lambda: waiting(desk.text(hall.address))) == ["he.peng"]
    nothing = order(desk, hall, "settings", chat="").text
    assert banners(nothing) == ["wait: Nothing was chosen, so everything stays as it was."]
    assert len(acts(nothing)) == 3


def test_members_are_invited(desk: Desk, hall: Hall) -> None:
    """Found by what is known of them, also without script; nobody at all is refused."""
    member(desk, "invited.one", "Invited One", status="1")
    page = desk.text(hall.to("invite"))
    fields = form_at(page, hall.to("invite"))
    none = desk.send(hall.to("invite"), fields)
    assert (none.status_code, "choose at least one" in none.text) == (422, True)
    found = desk.send(hall.to("invite"), fields | {"find": "invited one", "search": "1"})
    assert 'value="invited.one"' in found.text
    assert 'value="invited.one"' in desk.text(f"{hall.to('found')}&find=invited")
    done = follow(
        desk, desk.send(hall.to("invite"), form_at(found.text, hall.to("invite")) | {"account": "invited.one"})
    )
    assert [each.partition(":")[0] for each in banners(done.text)] == ["good"]


def test_an_end_is_asked_about_first_and_then_the_page_tells_who_was_in(desk: Desk, hall: Hall) -> None:
    asked = desk.text(hall.to("end"))
    assert "End the meeting for everybody?" in asked
    assert inside(desk.text(hall.address))
    page = order(desk, hall, "end", reason="over").text
    assert banners(page) == ["good: Meeting ended for everybody – Done."]
    page = once(desk, hall.address, lambda text: "Who was in when" in text)
    assert 'name="person"' not in page
    assert {"李伟", "王芳", "赵敏"} <= set(re.findall(r"<td><bdi>(.*?)</bdi></td>", page))
    assert page.count('<rect class="stay"') == 3
    assert "Meeting ended for everybody Done" in acts(page)
    assert "does not run" in desk.text(hall.to("end"))


def test_a_form_sent_twice_is_one_act(desk: Desk, hall: Hall) -> None:
    """One after the other, as by reloading, and at the same time, as by a double click."""
    menu = desk.text(f"{hall.to('person')}&person={value_of(desk.text(hall.address), '王芳')}")
    fields = form_at(menu, hall.to("person")) | {"act": "mute"}
    first, second = desk.send(hall.to("person"), fields), desk.send(hall.to("person"), fields)
    assert first.headers["location"] == second.headers["location"]
    with ThreadPoolExecutor(8) as pool:
        several = list(pool.map(lambda _: desk.send(hall.to("person"), fields | {"act": "remove"}), range(8)))
    assert {each.status_code for each in several} == {303}
    assert len({each.headers["location"] for each in several}) == 1
    assert acts(desk.text(hall.address)) == ["Removed · 王芳 Done", "Microphone · 王芳 Done"]


def test_somebody_who_has_left_meanwhile_is_told_of(desk: Desk, hall: Hall) -> None:
    """In the menu as well as by the answer to an act."""
    value = value_of(desk.text(hall.address), "赵敏")
    menu = desk.text(f"{hall.to('person')}&person={value}")
    hall.play("leave", "zhao.min")
    sent = desk.send(hall.to("person"), form_at(menu, hall.to("person")) | {"act": "mute"})
    [told] = banners(follow(desk, sent).text)
    assert told.startswith("bad: Microphone")
    assert "The person has left the meeting." in told
    path = f"{hall.to('person')}&person={value}"
    once(desk, path, lambda text: "not in the meeting any more" in text)
    assert desk.get(path).status_code == 404
    part = desk.get(path, **{"hx-request": "true"})
    assert part.status_code == 200
    assert "not in the meeting any more" in part.text


def test_a_meeting_that_has_ended_meanwhile_is_told_of(desk: Desk, hall: Hall) -> None:
    page = desk.text(hall.address)
    fields = form_at(page, hall.to("settings")) | {"mute_all": "on"}
    hall.play("end", "li.wei")
    told = wait_for(lambda: banners(follow(desk, desk.send(hall.to("settings"), fields)).text))
    assert told[0].startswith(("wait: The meeting does not run any more", "bad: Settings of the meeting changed"))


def test_support_looks_and_does_nothing(desk: Desk, support: Desk, hall: Hall) -> None:
    """No buttons; and what is sent nevertheless is refused, and not done."""
    hall.play("wait", "he.peng")
    page = once(support, hall.address, waiting)
    assert {"李伟", "王芳", "赵敏"} <= set(inside(page))
    assert not re.search(r'name="(?:person|admit|away|all|mute_all)"', page)
    assert hall.to("end") not in page.replace("&amp;", "&")
    token = re.search(r'name="csrf_token" value="([^"]*)"', page)
    assert token
    value = value_of(desk.text(hall.address), "王芳")
    for part in ("person", "waiting", "settings", "end", "invite"):
        fields: dict[str, str | list[str]] = {"csrf_token": token[1], "act": "mute", "person": value, "mute_all": "on"}
        assert support.send(hall.to(part), fields).status_code == 403, part
    assert support.get(hall.to("end")).status_code == 403
    assert "Muted" not in inside(desk.text(hall.address))["王芳"]
    assert acts(desk.text(hall.address)) == []


def test_a_member_sees_neither_the_list_nor_the_meeting(portal: Portal, client: httpx2.Client, hall: Hall) -> None:
    booker = Desk(portal, client, "li.wei", "booker")
    for path in ("/console/meetings", "/console/meetings.csv", hall.address, hall.to("person")):
        assert booker.get(path).status_code == 403


def test_a_form_that_is_not_ours_does_nothing(desk: Desk, hall: Hall) -> None:
    fields = form_at(desk.text(hall.address), hall.to("settings")) | {"mute_all": "on", "csrf_token": "0" * 128}
    assert desk.send(hall.to("settings"), fields).status_code == 403
    assert acts(desk.text(hall.address)) == []


def test_what_there_is_not_is_not_found(desk: Desk) -> None:
    for path in ("/console/meeting?provider=simulated&id=nothing", "/meetings/meeting?provider=simulated&id=nothing"):
        assert desk.get(path).status_code == 404
    assert desk.get("/console/meeting").status_code in (400, 404)


def test_a_meeting_of_300_is_a_page_of_less_than_150_kilobytes(stack: Stack, desk: Desk) -> None:
    """As it travels uncompressed; with each of them and a menu."""
    hall = open_hall(stack, desk, "A hall for 300", people=300)
    page = once(desk, hall.address, lambda text: text.count('name="person" value=') >= 300)
    assert len(page.encode()) < 150_000


def test_lists_are_filtered_and_exported(stack: Stack, desk: Desk, hall: Hall) -> None:
    """By phase, subject, number, creator, kind and time; as one types a number nothing is found yet."""
    subject = next(
        name for name, address in addresses(desk.text("/console/meetings")).items() if address == hall.address
    )
    wait_for(lambda: subject in addresses(desk.text("/console/meetings?kind=single")))  # as the provider's list says it
    for query, found in (
        (f"q={subject[8:30]}", True),
        ("q=nobody calls a meeting so", False),
        (f"number={hall.code}", True),
        (f"number={hall.code[:5]}", False),
        ("creator=li.wei", True),
        ("creator=wang.fang", False),
        ("kind=single", True),
        ("kind=webinar", False),
        ("phase=running", True),
        ("phase=coming", False),
        ("phase=ended", False),
    ):
        shown = addresses(desk.text(f"/console/meetings?{query}"))
        assert (subject in shown) is found, query
    rows = list(csv.reader(io.StringIO(desk.text(f"/console/meetings.csv?number={hall.code}").removeprefix("\ufeff"))))
    assert rows[0][:2] == ["Subject", "Meeting number"]
    assert [row[0] for row in rows[1:]] == [subject]


def test_meetings_to_come_are_found_by_their_time(stack: Stack, desk: Desk) -> None:
    """The next hour, today, 7 days, 31 days."""
    for subject, start in (("Soon", "07-07 08:40"), ("Tonight", "07-07 20:00"), ("Friday", "07-11 10:00")):
        code = make(stack, f"2025-{start}", subject)
        moved = stack.login("booker", "li.wei").yunhui("simulate", "move", code, "--start", f"2025-{start}")
        assert moved.code == 0, moved.err
    wait_for(lambda: {"Soon", "Tonight", "Friday"} <= set(addresses(desk.text("/console/meetings?phase=coming"))))
    for ahead, found in (("hour", {"Soon"}), ("today", {"Soon", "Tonight"}), ("week", {"Soon", "Tonight", "Friday"})):
        shown = set(addresses(desk.text(f"/console/meetings?phase=coming&ahead={ahead}")))
        assert shown & {"Soon", "Tonight", "Friday"} == found, ahead
    page = desk.text(listed(desk, "Soon", "coming"))
    assert "Coming up" in page
    assert 'name="mute_all"' not in page


def test_my_meetings_are_mine_and_lead_to_a_room(
    stack: Stack, desk: Desk, portal: Portal, client: httpx2.Client, hall: Hall
) -> None:
    mine, other = Desk(portal, client, "li.wei", "booker"), Desk(portal, client, "wang.fang", "booker")
    own = {address: subject for subject, address in addresses(mine.text("/meetings?phase=running")).items()}
    address = hall.address.replace("/console/meeting", "/meetings/meeting")
    assert address in own
    page = mine.text(address)
    assert f"/book?meeting_code={hall.code}" in page
    assert "Meeting number: " in page
    assert {"李伟", "王芳", "赵敏"} <= set(re.findall(r"<td><bdi>(.*?)</bdi></td>", page))
    assert mine.get(f"/book?meeting_code={hall.code}").status_code == 200
    assert address not in addresses(other.text("/meetings?phase=running")).values()
    assert other.get(address).status_code == 404
