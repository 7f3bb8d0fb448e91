"""Meetings that are made where making twice makes two: one whose answer was lost is found, or it is said that nobody
knows. Against the stand-in for Tencent's cloud."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from yunhui.meetings.v1 import making_pb2 as pb

from services.meetings import making, makings
from services.meetings.ledger_models import COUNTER
from services.meetings.provider import MeetingKey
from services.meetings.providers import Providers
from services.meetings.tencent.tencent import Tencent
from services.meetings.webhook_event import Kind, WebhookEvent
from services.meetings.webhook_events import WebhookEvents
from services.platform.clock import SECOND
from services.platform.data.database import Database
from services.platform.messaging import outbox
from services.platform.serving import errors
from services.standin.cloud import CloudMeeting
from services.standin.server import Standin
from tests.meetings import made as asked
from tests.meetings.builders import HOUR, PATIENT, HandClock, provider
from tests.meetings.made import DONE, REFUSED, UNKNOWN, stored, unwanted
from tests.meetings.swept import rows

NOW = int(time.time())
START, END = (NOW + HOUR) * SECOND, (NOW + 2 * HOUR) * SECOND


def wanted(making_id: str = "m-1", **more: str) -> pb.MakeMeetingRequest:
    return asked.wanted(making_id, START, END, **more)


@pytest.fixture
async def tencent(standin: Standin) -> AsyncIterator[Tencent]:
    standin.cloud.users |= {"li", "wang"}
    made, client = provider(standin.address, timing=PATIENT)
    yield made
    await client.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOW * SECOND)


@pytest.fixture
async def maker(database: Database, clock: HandClock, tencent: Tencent) -> AsyncIterator[making.Making]:
    made = making.Making(database, clock, Providers({"": tencent}))
    yield made
    await made.close()


def made_there(standin: Standin) -> list[CloudMeeting]:
    return [*standin.cloud.meetings.values()]


def creates(standin: Standin) -> int:
    return sum(each.method == "POST" and each.target == "/v1/meetings" for each in standin.requests)


async def lost(maker: making.Making, standin: Standin, making_id: str = "m-1") -> None:
    """It was made there, and nobody heard of it."""
    standin.faults.append("lost")
    assert (await maker.make(wanted(making_id))).outcome == UNKNOWN


def later(monkeypatch: pytest.MonkeyPatch, milliseconds: int) -> None:
    then = outbox.real_time() + milliseconds
    monkeypatch.setattr(outbox, "real_time", lambda: then)


async def test_one_is_made_moved_and_called_off(maker: making.Making, standin: Standin) -> None:
    answer = await maker.make(wanted())
    [there] = made_there(standin)
    assert (answer.outcome, answer.meeting.meeting_id, answer.meeting.meeting_code) == (
        DONE,
        there.meeting_id,
        there.code,
    )
    assert (await maker.move(asked.moved(START + SECOND, END + SECOND))).outcome == DONE
    assert there.start == NOW + HOUR + 1
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert there.cancelled


async def test_one_whose_answer_was_lost_is_found(maker: making.Making, standin: Standin, database: Database) -> None:
    await lost(maker, standin)
    answer = await maker.make(wanted())
    [there] = made_there(standin)
    assert (answer.outcome, answer.meeting.meeting_id) == (DONE, there.meeting_id)
    assert (await stored(database)).join_url.endswith(there.meeting_id)
    assert (creates(standin), [row.phase for row in rows(database)]) == (1, ["COMING"])


async def test_one_whose_answer_was_lost_is_unmade(maker: making.Making, standin: Standin) -> None:
    await lost(maker, standin)
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert [each.cancelled for each in made_there(standin)] == [True]
    assert (await maker.make(wanted())).refusal == "UNMADE"


@pytest.mark.parametrize("fault", ["lost", "html", "error:960000"])
async def test_moves_and_ends_whose_answer_was_lost_are_asked_for_again(
    maker: making.Making, standin: Standin, fault: str
) -> None:
    await maker.make(wanted())
    [there] = made_there(standin)
    standin.faults.append(fault)
    assert (await maker.move(asked.moved(START + SECOND, END))).outcome == UNKNOWN
    answer = await maker.move(asked.moved(START + SECOND, END))
    assert (answer.outcome, there.start) == (DONE, NOW + HOUR + 1)
    standin.faults.append(fault)
    assert (await maker.unmake(unwanted())).outcome == UNKNOWN
    assert (await maker.make(wanted())).refusal == "UNMADE"
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert there.cancelled


async def test_as_long_as_the_list_cannot_be_read_nobody_knows(maker: making.Making, standin: Standin) -> None:
    await lost(maker, standin)
    standin.broken = "html"
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.unmake(unwanted())).outcome == UNKNOWN
    standin.broken = ""
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert creates(standin) == 1


async def test_what_is_not_listed_may_yet_come_and_after_a_while_will_not(
    maker: making.Making, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never made a second time."""
    for making_id in ("m-1", "m-2"):
        standin.faults.append("html")
        assert (await maker.make(wanted(making_id))).outcome == UNKNOWN
    later(monkeypatch, makings.SETTLED_MS - 30 * SECOND)
    assert (await maker.make(wanted("m-1"))).outcome == UNKNOWN
    assert (await maker.unmake(unwanted("m-2"))).outcome == UNKNOWN
    later(monkeypatch, 31 * SECOND)
    for _ in range(2):
        answer = await maker.make(wanted("m-1"))
        assert (answer.outcome, answer.refusal) == (REFUSED, "PROVIDER_REFUSED")
    assert (await maker.unmake(unwanted("m-2"))).outcome == DONE
    assert (creates(standin), made_there(standin)) == (2, [])


async def test_one_that_comes_late_is_found(maker: making.Making, standin: Standin) -> None:
    standin.faults.append("html")
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.make(wanted())).outcome == UNKNOWN
    there = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    assert (await maker.make(wanted())).meeting.meeting_id == there.meeting_id


async def test_of_several_that_look_alike_none_is_taken(
    maker: making.Making, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes; when the other one is gone, it is known again."""
    await lost(maker, standin)
    [ours] = made_there(standin)
    another = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    later(monkeypatch, makings.SETTLED_MS + SECOND)
    assert (await maker.make(wanted())).outcome == UNKNOWN
    assert (await maker.unmake(unwanted())).outcome == UNKNOWN
    assert not ours.cancelled
    assert not another.cancelled
    standin.cloud.cancel(another)
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert ours.cancelled


async def test_one_that_was_known_before_is_not_ours(
    maker: making.Making, standin: Standin, webhook_events: WebhookEvents, clock: HandClock
) -> None:
    """Its creator made the same by hand, and the ledger had heard of it."""
    by_hand = standin.cloud.create("li", NOW + HOUR, NOW + 2 * HOUR)
    told = WebhookEvent(Kind.CHANGED, MeetingKey("tencent", by_hand.meeting_id), clock.now(), ("1",), subject="组会")
    await webhook_events.record([told])
    await lost(maker, standin)
    ours = made_there(standin)[1]
    heard = WebhookEvent(Kind.CHANGED, MeetingKey("tencent", ours.meeting_id), clock.now(), ("2",), subject="组会")
    await webhook_events.record([heard])  # what is heard afterwards may be ours
    assert (await maker.make(wanted())).meeting.meeting_id == ours.meeting_id
    assert (await maker.unmake(unwanted())).outcome == DONE
    assert (by_hand.cancelled, ours.cancelled) == (False, True)


async def test_two_that_look_alike_do_not_take_each_others(maker: making.Making, standin: Standin) -> None:
    """One was answered, of the other the answer was lost."""
    await lost(maker, standin)
    second = await maker.make(wanted("m-2"))
    first = await maker.make(wanted("m-1"))
    assert [first.meeting.meeting_id, second.meeting.meeting_id] == [each.meeting_id for each in made_there(standin)]


async def test_two_that_look_for_the_same_at_once_do_not_both_get_it(maker: making.Making, standin: Standin) -> None:
    """One was made, the other was not."""
    await lost(maker, standin)
    standin.faults.append("html")
    assert (await maker.make(wanted("m-2"))).outcome == UNKNOWN
    answers = await asyncio.gather(maker.make(wanted("m-1")), maker.make(wanted("m-2")))
    assert sorted(each.outcome for each in answers) == [DONE, UNKNOWN]
    assert len(made_there(standin)) == 1


REFUSED_THERE = [
    (9042, "NOT_PERMITTED"),
    (190001, "NO_SUCH_PERSON"),
    (9093, "PROVIDER_REFUSED"),
    (9098, "PROVIDER_REFUSED"),
    (190004, "PROVIDER_REFUSED"),
    (500168, "PROVIDER_REFUSED"),
]


@pytest.mark.parametrize(("code", "refusal"), REFUSED_THERE)
async def test_what_tencent_refuses_is_told_with_its_words(
    maker: making.Making, standin: Standin, code: int, refusal: str
) -> None:
    standin.faults.append(f"error:{code}")
    for _ in range(2):
        answer = await maker.make(wanted())
        assert (answer.outcome, answer.refusal) == (REFUSED, refusal)
        assert str(code) in answer.provider_message
    assert creates(standin) == 1


@pytest.mark.parametrize(("code", "seconds"), [(500029, 3600), (190310, 60), (9008, 60), (190303, 60)])
async def test_what_is_too_much_now_may_be_asked_for_later(
    maker: making.Making, standin: Standin, code: int, seconds: int
) -> None:
    standin.faults.append(f"error:{code}")
    with pytest.raises(errors.RpcError) as caught:
        await maker.make(wanted())
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert f"seconds: {seconds}" in "".join(map(str, caught.value.details))
    if code != 190310:  # after that nothing is sent for a while
        assert (await maker.make(wanted())).outcome == DONE


async def test_a_running_one_is_neither_moved_nor_called_off(maker: making.Making, standin: Standin) -> None:
    await maker.make(wanted())
    [there] = made_there(standin)
    standin.cloud.enter(there, "li")
    for answer in (await maker.move(asked.moved(START, END + SECOND)), await maker.unmake(unwanted())):
        assert (answer.outcome, answer.refusal) == (REFUSED, "WRONG_STATE")
    assert (await maker.make(wanted())).outcome == DONE
    standin.cloud.leave(there, there.visits[0])
    assert (await maker.unmake(unwanted())).outcome == DONE


async def test_its_password_is_stored_nowhere(
    maker: making.Making, standin: Standin, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Tencent tells it back."""
    await maker.make(wanted(password="907531"))
    assert made_there(standin)[0].password == "907531"

    def everything(connection: object) -> str:
        tables = COUNTER.metadata.sorted_tables
        there = set(connection.dialect.get_table_names(connection))  # type: ignore[attr-defined]
        found = [connection.execute(each.select()).all() for each in tables if each.name in there]  # type: ignore[attr-defined]
        return str(found)

    assert "907531" not in await database.read(everything) + caplog.text
