"""Strangers: asked about once, let in, left to wait or refused; and the way of the question, on a real bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from yunhui.access.v1.access_pb2 import Grant, IntroduceRequest, IntroduceResponse, Joining
from yunhui.booking.v1 import booking_service_pb2 as api

from services.booking.api import SERVICE
from services.contracts import subjects
from services.platform.messaging import grants_line
from services.platform.messaging.grants_line import JOINING, STRANGERS, to_account_id, to_subject
from services.platform.serving import errors
from services.platform.serving.grants import Grants, GrantsLine
from services.platform.serving.identity import Principal, to_principal
from services.platform.serving.permissions import ORDINARY
from tests.plumbing.conftest import connected
from tests.plumbing.test_grants import ANN, followed, put, reason
from tests.plumbing.test_rpc import OPEN, fail, guarded_by, reason_of
from tests.servers import Bus, until

ASKED = Joining(version=1, introduced=True)
WAITING = IntroduceResponse(grant=Grant(version=2, waiting=True))
LET_IN = IntroduceResponse(grant=Grant(version=2))


class AnsweringLine(GrantsLine):
    """Answers as the directory would."""

    def __init__(self, answer: IntroduceResponse | None) -> None:
        self.answer, self.asked = answer, list[str]()

    async def introduce(self, stranger: Principal) -> IntroduceResponse:
        self.asked.append(stranger.account_id)
        if self.answer is None:
            raise errors.unavailable("directory")
        return self.answer


def knowing(answer: IntroduceResponse | None, joining: Joining = ASKED) -> tuple[Grants, AnsweringLine]:
    held, line = Grants(), AnsweringLine(answer)
    held.line = line
    held.put_joining(joining)
    return held, line


def refusal(held: Grants, caller: Principal = ANN) -> str:
    with pytest.raises(errors.RpcError) as refused:
        held.of(caller)
    return reason(refused)


async def test_with_off_nobody_is_a_stranger() -> None:
    for joining in (Joining(), Joining(version=1)):
        held, _ = knowing(None, joining)
        assert not held.is_stranger(ANN)
        assert set(held.of(ANN).permissions) == ORDINARY


async def test_a_stranger_may_nothing_before_the_directory_was_asked() -> None:
    held, _ = knowing(LET_IN)
    assert held.is_stranger(ANN)
    assert refusal(held) == "UNAVAILABLE SERVICE_AWAY"
    await held.introduce(ANN)
    assert not held.is_stranger(ANN)
    assert set(held.of(ANN).permissions) == ORDINARY


async def test_who_waits_is_told_so_in_both_languages_until_they_are_let_in() -> None:
    held, _ = knowing(WAITING)
    await held.introduce(ANN)
    with pytest.raises(errors.RpcError) as refused:
        held.of(ANN)
    assert reason(refused) == "PERMISSION_DENIED MEMBERSHIP_WAITING"
    assert "管理员" in errors.chinese_of(refused.value.to_status())
    assert held.is_shut_out("ann")
    held.put_joining(Joining(version=2))  # nobody is asked about any more; who waits goes on waiting
    assert refusal(held) == "PERMISSION_DENIED MEMBERSHIP_WAITING"
    held.put("ann", Grant(version=3))
    assert set(held.of(ANN).permissions) == ORDINARY


async def test_a_token_that_gives_more_than_every_member_may_is_enough_where_it_counts() -> None:
    """Else nobody could let the first administrator in."""
    held, _ = knowing(WAITING)
    for role in ("support", "admin", "service"):
        caller = Principal("ann", frozenset({"booker", role}))
        assert not held.is_stranger(caller)
        held.put("ann", WAITING.grant)
        assert held.of(caller).has(role)
    strict = Grants(["booker"])
    strict.put_joining(ASKED)
    assert strict.is_stranger(Principal("ann", frozenset({"admin"})))


async def test_whoever_is_disabled_is_no_stranger_whatever_their_token_says() -> None:
    held, _ = knowing(LET_IN)
    held.put("ann", Grant(version=1, disabled=True))
    assert not held.is_stranger(ANN)
    assert refusal(held, Principal("ann", frozenset({"admin"}))) == "PERMISSION_DENIED ACCOUNT_DISABLED"


async def test_what_the_directory_knows_nothing_of_any_more_is_a_stranger_again() -> None:
    """And is no member by it, where the word of a token is needed."""
    held, _ = knowing(WAITING)
    held.put("ann", Grant(version=1, unknown=True))
    assert held.is_stranger(ANN)
    nobody = Grants()
    nobody.put("ann", Grant(version=1, unknown=True))
    assert not nobody.of(Principal("ann", frozenset())).permissions


async def test_who_can_never_be_a_member_is_told_so() -> None:
    held, _ = knowing(IntroduceResponse(impossible=True))
    with pytest.raises(errors.RpcError) as refused:
        await held.introduce(ANN)
    assert reason(refused) == "PERMISSION_DENIED MEMBERSHIP_IMPOSSIBLE"


async def test_an_earlier_choice_is_passed_over() -> None:
    held, _ = knowing(None, Joining(version=5, introduced=True))
    held.put_joining(Joining(version=4))
    assert held.is_stranger(ANN)


@pytest.mark.parametrize(
    ("said", "verified"), [(True, True), (False, False), ("true", False), (1, False), (None, False)]
)
def test_an_address_is_verified_where_the_token_says_so_and_nothing_else(said: object, verified: bool) -> None:
    claims = {"sub": "ann", "exp": 1, "email": "a@b.edu", "email_verified": said}
    assert to_principal(claims).email_verified is verified


# the guard


async def call(channel: grpc.aio.Channel, role: str = "booker:ann") -> tuple[grpc.StatusCode, str]:
    """Answered with INVALID_ARGUMENT when it is let through."""
    error = await fail(channel, "GetReservation", api.ListRoomsRequest(), ("authorization", f"Bearer {role}"))
    return await reason_of(_raise(error))


async def _raise(error: grpc.aio.AioRpcError) -> None:
    raise error


async def test_a_stranger_is_asked_about_once_and_never_again() -> None:
    held, line = knowing(WAITING)
    async with guarded_by(held) as channel:
        for _ in range(3):
            assert (await call(channel))[1] == "MEMBERSHIP_WAITING"
        assert line.asked == ["ann"]
        held.put("ann", Grant(version=3))
        assert (await call(channel))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert line.asked == ["ann"]


async def test_known_members_go_on_while_the_directory_is_away() -> None:
    held, line = knowing(None)
    held.put("bob", Grant(version=1))
    async with guarded_by(held) as channel:
        assert (await call(channel, "booker:ann"))[0] is grpc.StatusCode.UNAVAILABLE
        assert (await call(channel, "booker:bob"))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert (await call(channel, "admin:root"))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert line.asked == ["ann"]


async def test_open_streams_of_strangers_end_when_they_are_asked_about_and_of_members_go_on() -> None:
    held, _ = knowing(None, Joining())
    held.put("bob", Grant(version=1))
    async with guarded_by(held) as channel:
        watch: Any = channel.unary_stream(f"/{SERVICE}/WatchReservations", OPEN.__class__.SerializeToString)
        streams = [watch(OPEN, metadata=(("authorization", f"Bearer booker:{each}"),)) for each in ("ann", "bob")]
        assert [await each.read() for each in streams] == [b""] * 2
        held.put_joining(ASKED)
        assert (await reason_of(streams[0].read()))[0] is grpc.StatusCode.UNAVAILABLE
        assert not streams[1].done()
        streams[1].cancel()


# on a real bus


def test_the_choice_has_a_subject_that_is_no_account_s() -> None:
    assert (to_subject(STRANGERS), to_account_id(JOINING)) == (JOINING, STRANGERS)
    assert grants_line.INTRODUCE == subjects.INTRODUCE


@asynccontextmanager
async def answering(directory: Client, answer: Callable[[IntroduceRequest], bytes]) -> AsyncIterator[list[str]]:
    """In place of the directory; yields whom it was asked about."""
    asked = list[str]()

    async def on_question(msg: Msg) -> None:
        request = IntroduceRequest.FromString(msg.data)
        asked.append(request.account_id)
        body = answer(request)
        if body != b"never":
            await directory.publish(msg.reply, body)

    subscription = await directory.subscribe(subjects.INTRODUCE, cb=on_question)
    await directory.flush()
    yield asked
    await subscription.unsubscribe()


async def test_a_stranger_is_introduced_with_what_the_token_says(bus: Bus, directory: Client) -> None:
    said = list[IntroduceRequest]()

    def answer(request: IntroduceRequest) -> bytes:
        said.append(request)
        return WAITING.SerializeToString()

    await directory.jetstream().publish(JOINING, ASKED.SerializeToString())
    ann = Principal("ann", frozenset({"booker"}), "安娜", "a@b.edu", department="Physics", email_verified=True)
    async with answering(directory, answer), followed(bus) as (held, _):
        assert held.is_stranger(ann)  # known before anybody is admitted
        await held.introduce(ann)
        assert refusal(held) == "PERMISSION_DENIED MEMBERSHIP_WAITING"
        await put(directory, "ann", Grant(version=3))
        await until(lambda: not held.is_shut_out("ann"))
    assert said == [
        IntroduceRequest(
            account_id="ann", display_name="安娜", email="a@b.edu", email_verified=True, department="Physics"
        )
    ]


async def test_many_calls_of_one_stranger_are_one_question(bus: Bus, directory: Client) -> None:
    async with answering(directory, lambda _: LET_IN.SerializeToString()) as asked, followed(bus) as (held, _):
        await asyncio.gather(*(held.introduce(ANN) for _ in range(50)))
        assert asked == ["ann"]


async def test_so_many_strangers_are_asked_about_at_once_and_the_others_refused(
    bus: Bus,
    directory: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grants_line, "INTRODUCE_SECONDS", 0.5)
    async with answering(directory, lambda _: b"never") as asked, followed(bus) as (held, _):
        crowd = [Principal(f"s{each}", frozenset()) for each in range(100)]
        found = await asyncio.gather(*(held.introduce(each) for each in crowd), return_exceptions=True)
        assert {each.code for each in found if isinstance(each, errors.RpcError)} == {grpc.StatusCode.UNAVAILABLE}
        assert len(asked) == grants_line.MOST_INTRODUCTIONS
        with pytest.raises(errors.RpcError):
            await held.introduce(ANN)  # the places are free again
        assert asked[-1] == "ann"


async def test_without_a_directory_strangers_are_refused_at_once(bus: Bus) -> None:
    async with followed(bus) as (held, line):
        held.put_joining(ASKED)
        with pytest.raises(errors.RpcError) as refused:
            await held.introduce(ANN)
        assert refused.value.code is grpc.StatusCode.UNAVAILABLE
        await bus.stop()
        with pytest.raises(errors.RpcError) as again:
            await held.introduce(ANN)
        assert again.value.code is grpc.StatusCode.UNAVAILABLE
        await bus.start()
        await until(lambda: line.silent_for() == 0)


async def test_what_cannot_be_read_is_no_answer(bus: Bus, directory: Client) -> None:
    async with answering(directory, lambda _: b"\xff"), followed(bus) as (held, _):
        held.put_joining(ASKED)
        with pytest.raises(errors.RpcError) as refused:
            await held.introduce(ANN)
        assert refused.value.code is grpc.StatusCode.UNAVAILABLE
    async with answering(directory, lambda _: b""), followed(bus) as (held, _):
        held.put_joining(ASKED)
        await held.introduce(ANN)  # the directory wants no introductions any more; its word to all is on its way
        assert refusal(held) == "UNAVAILABLE SERVICE_AWAY"


async def test_only_programs_may_introduce_and_only_the_directory_answers(bus: Bus) -> None:
    async with connected(bus, "directory") as asker, answering(asker, lambda _: LET_IN.SerializeToString()) as asked:
        for user in ("subscriber", "booking"):
            async with connected(bus, user) as other:
                heard = list[Msg]()

                async def hear(msg: Msg, into: list[Msg] = heard) -> None:
                    into.append(msg)

                await other.subscribe(subjects.INTRODUCE, cb=hear)
                await other.publish(subjects.INTRODUCE, IntroduceRequest(account_id=user).SerializeToString())
                await other.flush()
                assert not heard
        await until(lambda: "booking" in asked)
        assert asked == ["booking"]
