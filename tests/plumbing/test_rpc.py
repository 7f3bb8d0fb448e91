"""The guard in front of every method: deny by default, documented errors only. A real server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, get_args

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import booking_service_pb2_grpc as api_grpc

from services import errors, rpc
from services.booking.api import ROLES, SERVICE
from services.cli.failures import CallError
from services.identity import InvalidTokenError, Principal, Verifier
from tests.servers import until


class NamedTokens(Verifier):
    """The token is the role: the guard is what is looked at here."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        if token == "bad":
            raise InvalidTokenError("bad token")
        return Principal("somebody", frozenset({token}))


SLOW = api.GetDecisionRequest(decision_id="slow")
OPEN = api.WatchReservationsRequest(account_id="open")


class Servicer(api_grpc.BookingServiceServicer):
    async def ListRooms(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        raise RuntimeError("secret detail")

    async def GetReservation(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        raise errors.invalid("reservation_id", "is odd", "是奇数")

    async def CancelReservation(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        raise errors.unavailable("policy")

    async def GetDecision(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        if request.decision_id == SLOW.decision_id:
            await asyncio.Event().wait()
        raise errors.not_found("decision", "没有这个决定")

    async def WatchReservations(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        if request != OPEN:
            raise errors.not_found("account", "没有这个账号")
        yield api.WatchReservationsResponse()
        await asyncio.Event().wait()


class Watch:
    """Real time, but when we say."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def channel(watch: Watch) -> AsyncIterator[grpc.aio.Channel]:
    server = rpc.Server(
        "127.0.0.1:0",
        rpc.Guard(NamedTokens(), ROLES, rpc.Rate(200, watch)),
        [SERVICE],
        lambda bare: api_grpc.add_BookingServiceServicer_to_server(Servicer(), bare),  # type: ignore[abstract] # on purpose
        with_reflection=True,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel
    await server.stop()


async def fail(channel: grpc.aio.Channel, method: str, request: Any, *metadata: tuple[str, str]) -> Any:
    call: Any = channel.unary_unary(f"/{SERVICE}/{method}", request_serializer=type(request).SerializeToString)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(request, metadata=metadata)
    return caught.value


def test_every_method_of_the_contract_has_its_roles_and_nothing_else_has() -> None:
    methods = api.DESCRIPTOR.services_by_name["BookingService"].methods
    assert {f"/{SERVICE}/{method.name}" for method in methods} == set(ROLES)
    assert all(ROLES.values())


@pytest.mark.parametrize("metadata", [(), (("authorization", "bad"),), (("authorization", "Bearer bad"),)])
async def test_without_a_good_token_no_method_answers(
    channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]
) -> None:
    for path in ROLES:
        error = await fail(channel, path.rsplit("/", 1)[1], api.ListRoomsRequest(), *metadata)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_every_cell_of_method_and_role(channel: grpc.aio.Channel) -> None:
    for path, allowed in ROLES.items():
        for role in ("booker", "support", "admin", "service", "nobody"):
            error = await fail(
                channel, path.rsplit("/", 1)[1], api.ListRoomsRequest(), ("authorization", f"Bearer {role}")
            )
            assert (error.code() is grpc.StatusCode.PERMISSION_DENIED) is (role not in allowed), (path, role)


async def test_what_nobody_foresaw_is_internal_and_says_nothing(channel: grpc.aio.Channel) -> None:
    error = await fail(channel, "ListRooms", api.ListRoomsRequest(), ("authorization", "Bearer admin"))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()


@pytest.mark.parametrize("part", get_args(errors.Part))
def test_whatever_is_away_has_a_name_in_chinese(part: errors.Part) -> None:
    assert "暂时不可用" in errors.chinese_of(errors.unavailable(part).to_status())


async def test_errors_carry_details_for_programs(channel: grpc.aio.Channel) -> None:
    error = await fail(channel, "GetReservation", api.GetReservationRequest(), ("authorization", "Bearer admin"))
    [detail] = rpc_status.from_call(error).details
    bad = error_details_pb2.BadRequest()
    assert detail.Unpack(bad)
    [violation] = bad.field_violations
    assert (violation.field, violation.description) == ("reservation_id", "is odd")
    assert (violation.localized_message.locale, violation.localized_message.message) == ("zh-CN", "是奇数")
    error = await fail(channel, "CancelReservation", api.CancelReservationRequest(), ("authorization", "Bearer admin"))
    info, retry, own = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.LocalizedMessage(),
    )
    unpacked = zip(rpc_status.from_call(error).details, (info, retry, own), strict=True)
    assert all(detail.Unpack(kind) for detail, kind in unpacked)
    assert (info.reason, dict(info.metadata), retry.retry_delay.seconds) == ("SERVICE_AWAY", {"service": "policy"}, 1)
    assert (own.locale, own.message) == ("zh-CN", "规则服务暂时不可用；没有任何改变，请重试")
    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_what_is_not_built_yet_says_so(channel: grpc.aio.Channel) -> None:
    error = await fail(channel, "UpdateRoom", api.UpdateRoomRequest(), ("authorization", "Bearer admin"))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_over_the_limit_is_refused(channel: grpc.aio.Channel) -> None:
    request = api.CancelReservationRequest(note="x" * rpc.MAX_MESSAGE_BYTES)
    error = await fail(channel, "CancelReservation", request, ("authorization", "Bearer admin"))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_needs_no_token(channel: grpc.aio.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service=""))
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING  # nobody has said yet that it is ready
    live = await health.Check(health_pb2.HealthCheckRequest(service=rpc.LIVE))
    assert live.status == health_pb2.HealthCheckResponse.SERVING


async def test_one_account_makes_so_many_calls_a_minute_and_programs_as_many_as_they_need(
    channel: grpc.aio.Channel, watch: Watch
) -> None:
    async def call(role: str) -> Any:
        return await fail(channel, "GetReservation", api.GetReservationRequest(), ("authorization", f"Bearer {role}"))

    codes = [(await call("booker")).code() for _ in range(200)]
    assert set(codes) == {grpc.StatusCode.INVALID_ARGUMENT}
    refused = await call("booker")
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert CallError(refused, "").sentence("en") == "Too many calls in a short time: wait 1 s and try again."
    assert "1 秒" in CallError(refused, "").sentence("zh-CN")
    assert (await call("service")).code() is grpc.StatusCode.INVALID_ARGUMENT
    watch.seconds += 0.29
    assert (await call("booker")).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    watch.seconds += 0.011
    assert (await call("booker")).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await call("booker")).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_one_account_has_so_many_streams_open(channel: grpc.aio.Channel) -> None:
    """Or it could leave none to others, for streams stay open."""
    streams: Any = channel.unary_stream(
        f"/{SERVICE}/WatchReservations", request_serializer=api.WatchReservationsRequest.SerializeToString
    )

    def watch() -> Any:
        return streams(OPEN, metadata=(("authorization", "Bearer booker"),))

    opened = [watch() for _ in range(rpc.MOST_STREAMS_AT_ONCE)]
    assert all([await stream.read() is not grpc.aio.EOF for stream in opened])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch().read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    opened[0].cancel()

    async def another() -> bool:
        with suppress(grpc.aio.AioRpcError):
            return await watch().read() is not grpc.aio.EOF
        return False

    await until(another)
    for stream in opened:
        stream.cancel()


@pytest.mark.parametrize(
    ("seconds", "nanos", "fault"),
    [
        (0, 0, "is required"),
        (-1, 0, "not a valid time"),
        (errors.LAST_SECOND + 1, 0, "not a valid time"),
        (-(2**63), 0, "not a valid time"),
        (2**63 - 1, 0, "not a valid time"),
        (1, -1, "not a valid time"),
        (1, 1_000_000_000, "not a valid time"),
    ],
)
def test_a_time_is_one_that_databases_hold(seconds: int, nanos: int, fault: str) -> None:
    with pytest.raises(errors.RpcError, match=f"since: {fault}|since: is {fault}"):
        errors.moment("since", Timestamp(seconds=seconds, nanos=nanos))
    assert errors.moment("since", Timestamp(nanos=2_000_000, seconds=1)) == 1002
    assert errors.moment("since", Timestamp(seconds=errors.LAST_SECOND)) == errors.LAST_SECOND * 1000


def test_the_rate_is_each_accounts_own_and_forgets_the_least_recent(watch: Watch) -> None:
    rate = rpc.Rate(1, watch)
    assert rate.take("a") == 0
    assert rate.take("b") == 0
    assert 0 < rate.take("a") <= 60
    for number in range(rate.REMEMBERED):
        assert rate.take(f"other-{number}") == 0
    assert rate.take("a") == 0
    assert not any(rpc.Rate(0, watch).take("a") for _ in range(1000))


async def test_a_call_without_a_deadline_ends_all_the_same(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "LONGEST_SECONDS", 0.05)
    error = await fail(channel, "GetDecision", SLOW, ("authorization", "Bearer admin"))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_more_calls_at_once_than_a_program_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "MOST_CALLS_AT_ONCE", 3)
    server = rpc.Server(
        "127.0.0.1:0",
        rpc.Guard(NamedTokens(), ROLES),
        [SERVICE],
        lambda bare: api_grpc.add_BookingServiceServicer_to_server(Servicer(), bare),  # type: ignore[abstract] # on purpose
        with_reflection=False,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/GetDecision")
        calls = [
            asyncio.ensure_future(call(SLOW.SerializeToString(), metadata=(("authorization", "Bearer admin"),)))
            for _ in range(4)
        ]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert [each.exception().code() for each in done] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert len(waiting) == 3
        for each in waiting:
            each.cancel()
    await server.stop()
