"""Calendar feeds: made, replaced and removed by their person over gRPC; read with the secret, over the bus."""

from collections.abc import AsyncIterator

import grpc
import pytest
import sqlalchemy as sa
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import calendar_pb2 as calendar
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import calendar_feeds, endings, models
from services.booking.scopes import of_account
from services.booking.subscriptions import read_calendar
from services.booking.watchers import Watchers
from services.platform.clock import DAY, HOUR, MINUTE
from tests.booking.builders import MONDAY, TEN
from tests.booking.conftest import Booking
from tests.booking.served import Caller, serve
from tests.booking.test_transitions import made, pass_time

NOTHING = calendar.ReadCalendarResponse()


@pytest.fixture
async def ann(booking: Booking) -> AsyncIterator[Caller]:
    """The booker whose reservations the tests make."""
    server = await serve(booking, Watchers())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Caller(channel, "booker", "booker")
    await server.stop()


async def create(who: Caller) -> str:
    return str((await who.ask("CreateCalendarFeed", api.CreateCalendarFeedRequest())).secret)


async def status(who: Caller) -> api.GetCalendarFeedResponse:
    answer: api.GetCalendarFeedResponse = await who.ask("GetCalendarFeed", api.GetCalendarFeedRequest())
    return answer


async def read(booking: Booking, secret: str) -> calendar.ReadCalendarResponse:
    asked = calendar.ReadCalendarRequest(secret_hash=calendar_feeds.hashed(secret))
    return await read_calendar(booking.database, booking.clock, asked)


async def test_the_secret_shows_ones_own_reservations_and_no_others(booking: Booking, ann: Caller) -> None:
    """Cancelled ones too: a calendar must hear of it."""
    later = (await made(booking, start=TEN + 3 * HOUR)).reservation_id
    first = (await made(booking)).reservation_id
    await made(booking, account_id="eve")
    await endings.cancel(booking.transactions, later, of_account("booker"), "booker", "")
    answer = await read(booking, await create(ann))
    assert answer.found
    assert [(each.reservation_id, each.state) for each in answer.reservations] == [
        (first, pb.RESERVATION_STATE_CONFIRMED),
        (later, pb.RESERVATION_STATE_CANCELLED),
    ]


async def test_of_too_many_the_earliest_are_left_out(
    booking: Booking, ann: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still to come is what a calendar is for."""
    monkeypatch.setattr(calendar_feeds, "MOST", 2)
    three = [(await made(booking, start=TEN + hours * HOUR)).reservation_id for hours in (0, 2, 4)]
    answer = await read(booking, await create(ann))
    assert [each.reservation_id for each in answer.reservations] == three[1:]


async def test_what_is_over_for_more_than_thirty_days_is_not_shown(booking: Booking, ann: Caller) -> None:
    await made(booking)
    secret = await create(ann)
    await pass_time(booking, TEN + HOUR + 30 * DAY - 1)
    assert len((await read(booking, secret)).reservations) == 1
    booking.clock.time += 1
    assert len((await read(booking, secret)).reservations) == 0


async def test_wrong_replaced_and_removed_secrets_get_one_answer(booking: Booking, ann: Caller) -> None:
    await made(booking)
    assert await read(booking, "wrong") == NOTHING
    first = await create(ann)
    second = await create(ann)
    assert first != second
    assert await read(booking, first) == NOTHING
    assert (await read(booking, second)).found
    for _ in range(2):  # again changes nothing
        await ann.ask("DeleteCalendarFeed", api.DeleteCalendarFeedRequest())
    assert await read(booking, second) == NOTHING
    assert await read_calendar(booking.database, booking.clock, calendar.ReadCalendarRequest()) == NOTHING


async def test_the_person_sees_since_when_and_when_it_was_fetched(booking: Booking, ann: Caller) -> None:
    """To the minute: who asks more often causes no more writes."""
    assert not (await status(ann)).HasField("feed")
    secret = await create(ann)
    assert (await status(ann)).feed.create_time.ToMilliseconds() == MONDAY
    assert not (await status(ann)).feed.HasField("fetch_time")
    for after, seen in ((0, 0), (MINUTE - 1, 0), (MINUTE, MINUTE)):
        booking.clock.time = MONDAY + after
        await read(booking, secret)
        assert (await status(ann)).feed.fetch_time.ToMilliseconds() == MONDAY + seen
    await create(ann)
    assert not (await status(ann)).feed.HasField("fetch_time")


async def test_the_secret_itself_is_not_stored(booking: Booking, ann: Caller) -> None:
    secret = await create(ann)
    assert len(secret) == 43
    [row] = await booking.database.read(lambda c: c.execute(sa.select(models.CALENDAR_FEED)).all())
    assert bytes(row.secret_hash) == calendar_feeds.hashed(secret)
    assert secret not in str(row)


async def test_one_persons_acts_touch_nobody_elses_feed(booking: Booking, ann: Caller) -> None:
    secret = await create(ann)
    ann.metadata = (("authorization", "Bearer admin:eve"),)
    assert not (await status(ann)).HasField("feed")
    await ann.ask("DeleteCalendarFeed", api.DeleteCalendarFeedRequest())
    await create(ann)
    assert (await read(booking, secret)).found
