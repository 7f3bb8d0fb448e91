"""The guard in front of every method: deny by default, documented errors only. A real server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, get_args

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from yunhui.access.v1.access_pb2 import Grant
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import booking_service_pb2_grpc as api_grpc

from services.booking.api import NEEDED, SERVICE
from services.cli.failures import CallError
from services.platform.serving import errors, places, rpc
from services.platform.serving.grants import Grants, GrantsLine
from services.platform.serving.identity import InvalidTokenError, Principal, Verifier
from services.platform.serving.rates import Rate
from services.platform.text.messages import message
from tests.callers import roles_with
from tests.servers import partly, until


class NamedTokens(Verifier):
    """The token is the role, or role:account: the guard is what is looked at here."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str) -> Principal:
        if token == "bad":
            raise InvalidTokenError("bad token")
        role, _, account_id = token.partition(":")
        return Principal(account_id or "somebody", frozenset({role}))


SLOW = api.GetDecisionRequest(decision_id="slow")
OPEN = api.WatchReservationsRequest(account_id="open")


class Servicer(api_grpc.BookingServiceServicer):
    async def ListRooms(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        raise RuntimeError("secret detail")

    async def GetReservation(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        raise errors.invalid("reservation_id", errors.REQUIRED)

    async def CancelReservation(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        raise errors.unavailable("policy")

    async def GetDecision(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        if request.decision_id == SLOW.decision_id:
            await asyncio.Event().wait()
        raise errors.not_found("decision", message("there is no such decision"))

    async def WatchReservations(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the proto
        if request != OPEN:
            raise errors.not_found("account", message("there is no such account"))
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
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED, Rate(200, watch)),
        {SERVICE: partly(api_grpc.add_BookingServiceServicer_to_server, Servicer)},
        with_reflection=True,
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel
    await server.stop()


@asynccontextmanager
async def guarded_by(grants: Grants) -> AsyncIterator[grpc.aio.Channel]:
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED, grants=grants),
        {SERVICE: partly(api_grpc.add_BookingServiceServicer_to_server, Servicer)},
        with_reflection=False,
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


def test_every_method_of_the_contract_says_what_it_needs_and_nothing_else_does() -> None:
    methods = api.DESCRIPTOR.services_by_name["BookingService"].methods
    assert {f"/{SERVICE}/{method.name}" for method in methods} == set(NEEDED)


@pytest.mark.parametrize("metadata", [(), (("authorization", "bad"),), (("authorization", "Bearer bad"),)])
async def test_without_a_good_token_no_method_answers(
    channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]
) -> None:
    for path in NEEDED:
        error = await fail(channel, path.rsplit("/", 1)[1], api.ListRoomsRequest(), *metadata)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_every_cell_of_method_and_role(channel: grpc.aio.Channel) -> None:
    for path, needed in NEEDED.items():
        for role in ("booker", "support", "admin", "service", "nobody"):
            error = await fail(
                channel, path.rsplit("/", 1)[1], api.ListRoomsRequest(), ("authorization", f"Bearer {role}")
            )
            assert (error.code() is grpc.StatusCode.PERMISSION_DENIED) is (role not in roles_with(needed)), (path, role)


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
    assert (violation.field, violation.description) == ("reservation_id", "is required")
    assert (violation.localized_message.locale, violation.localized_message.message) == ("zh-CN", "必填")
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
    rate = Rate(1, watch)
    assert rate.take("a") == 0
    assert rate.take("b") == 0
    assert 0 < rate.take("a") <= 60
    for number in range(rate.REMEMBERED):
        assert rate.take(f"other-{number}") == 0
    assert rate.take("a") == 0
    assert not any(Rate(0, watch).take("a") for _ in range(1000))


def test_the_rate_comes_back_and_can_be_given_back(watch: Watch) -> None:
    """One call for each half of a minute that has passed; or at once, when one did not count after all."""
    rate = Rate(2, watch)
    assert [rate.take("a"), rate.take("a")] == [0, 0]
    assert rate.take("a") == pytest.approx(30)
    watch.seconds += 29
    assert rate.take("a") == pytest.approx(1)
    watch.seconds += 1
    assert rate.take("a") == 0
    rate.give_back("a")
    assert rate.take("a") == 0
    assert rate.take("a") > 0
    rate.give_back("unknown")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(rpc, "MESSAGE_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_call_without_a_deadline_ends_all_the_same(channel: grpc.aio.Channel) -> None:
    error = await fail(channel, "GetDecision", SLOW, ("authorization", "Bearer admin"))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_more_calls_at_once_than_a_program_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_CALLS_AT_ONCE", 3)
    server = rpc.RpcServer(
        "127.0.0.1:0",
        rpc.RpcGuard(NamedTokens(), NEEDED),
        {SERVICE: partly(api_grpc.add_BookingServiceServicer_to_server, Servicer)},
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


async def never() -> AsyncIterator[bytes]:
    """A message that does not come."""
    await asyncio.Event().wait()
    yield b""


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def begin(channel: grpc.aio.Channel, path: str, role: str = "", sent: Any = never) -> Any:
    """A call of a method with one message, which it sends as `sent` does."""
    call: Any = channel.stream_unary(path)
    return call(sent(), metadata=(("authorization", f"Bearer {role}"),) if role else (), timeout=30)


async def reason_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error: Any = caught.value
    info, status = error_details_pb2.ErrorInfo(), rpc_status.from_call(error)
    if status:
        any(detail.Unpack(info) for detail in status.details)
    return error.code(), info.reason


ROOMS = f"/{SERVICE}/ListRooms"
CHECK = "/grpc.health.v1.Health/Check"


@pytest.mark.parametrize("path", NEEDED)
async def test_whoever_may_not_call_is_told_before_the_message_is_waited_for(
    channel: grpc.aio.Channel, path: str
) -> None:
    assert (await reason_of(begin(channel, path)))[0] is grpc.StatusCode.UNAUTHENTICATED
    assert (await reason_of(begin(channel, path, "nobody")))[0] is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.usefixtures("impatient")
async def test_a_call_whose_message_does_not_come_ends(channel: grpc.aio.Channel) -> None:
    for path, role in ((ROOMS, "admin"), (f"/{SERVICE}/WatchReservations", "admin"), (CHECK, "")):
        assert await reason_of(begin(channel, path, role)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "NO_MESSAGE")


async def test_a_call_that_ends_without_a_message_is_told_so(channel: grpc.aio.Channel) -> None:
    for path, role in ((ROOMS, "admin"), (CHECK, "")):
        assert (await reason_of(begin(channel, path, role, nothing)))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_one_account_has_so_many_calls_under_way_and_programs_as_many_as_they_need(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST_CALLS_OF_ACCOUNT", 3)
    begun = [begin(channel, ROOMS, "admin") for _ in range(4)]
    done, waiting = await asyncio.wait([asyncio.ensure_future(each) for each in begun], return_when="FIRST_COMPLETED")
    assert [await reason_of(each) for each in done] == [(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")]
    error = await fail(channel, "GetReservation", api.GetReservationRequest(), ("authorization", "Bearer service"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    for each in waiting:
        each.cancel()

    async def another() -> bool:
        return (await reason_of(begin(channel, ROOMS, "admin", nothing)))[0] is grpc.StatusCode.INVALID_ARGUMENT

    await until(another)


async def test_strangers_end_their_own_calls_and_nobody_elses(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST_OF_STRANGERS", 3)
    monkeypatch.setattr(places, "MOST_CALLS_AT_ONCE", 1)
    own = begin(channel, ROOMS, "admin")
    begun = [asyncio.ensure_future(begin(channel, CHECK)) for _ in range(4)]
    done, waiting = await asyncio.wait(begun, return_when="FIRST_COMPLETED")
    assert [await reason_of(each) for each in done] == [(grpc.StatusCode.DEADLINE_EXCEEDED, "TOO_LONG")]
    health: Any = health_pb2_grpc.HealthStub(channel)
    assert await health.Check(health_pb2.HealthCheckRequest(service=rpc.LIVE))  # in the place of another one of them
    assert not own.done()
    for each in (own, *waiting):
        each.cancel()


async def test_strangers_who_take_no_answers_are_refused(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST_UNFINISHED", 2)
    begun = [asyncio.ensure_future(begin(channel, CHECK)) for _ in range(3)]
    done, waiting = await asyncio.wait(begun, return_when="FIRST_COMPLETED")
    assert [await reason_of(each) for each in done] == [(grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")]
    for each in waiting:
        each.cancel()


async def test_health_cannot_be_watched(channel: grpc.aio.Channel) -> None:
    """Clients know what UNIMPLEMENTED means here; a stream that anybody may hold open would end when others come."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Watch(health_pb2.HealthCheckRequest()).read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_long_message_counts_for_more_calls(channel: grpc.aio.Channel, watch: Watch) -> None:
    """Of 200 calls a minute, one of 160 KiB takes 41: four are let in, the fifth is told how long to wait."""
    request = api.CancelReservationRequest(note="x" * 40 * rpc.BYTES_OF_A_CALL)
    bearer = ("authorization", "Bearer booker")
    codes = [(await fail(channel, "CancelReservation", request, bearer)).code() for _ in range(5)]
    assert codes == [grpc.StatusCode.UNAVAILABLE] * 4 + [grpc.StatusCode.RESOURCE_EXHAUSTED]
    refused = await fail(channel, "CancelReservation", request, bearer)
    assert [each.type_url.rpartition(".")[2] for each in rpc_status.from_call(refused).details] == [
        *("ErrorInfo", "RetryInfo", "LocalizedMessage")
    ]
    assert (await fail(channel, "GetReservation", api.GetReservationRequest(), bearer)).code() is (
        grpc.StatusCode.INVALID_ARGUMENT
    )
    program = ("authorization", "Bearer service")
    assert (await fail(channel, "CancelReservation", request, program)).code() is grpc.StatusCode.PERMISSION_DENIED
    watch.seconds += 60
    assert (await fail(channel, "CancelReservation", request, bearer)).code() is grpc.StatusCode.UNAVAILABLE


def test_what_costs_more_than_a_minute_allows_takes_all_of_a_minute(watch: Watch) -> None:
    rate = Rate(10, watch)
    assert rate.take("a", 1000) == 0
    assert rate.take("a") == pytest.approx(6)
    watch.seconds += 60
    assert rate.take("a", 1000) == 0


async def test_a_stream_ends_when_its_caller_may_not_have_it_any_more() -> None:
    """At once, with the reason; another account's stream goes on."""
    async with guarded_by(grants := Grants()) as channel:
        watch: Any = channel.unary_stream(f"/{SERVICE}/WatchReservations", OPEN.__class__.SerializeToString)
        streams = [watch(OPEN, metadata=(("authorization", f"Bearer booker:{each}"),)) for each in ("ann", "bob")]
        assert [await each.read() for each in streams] == [b""] * 2
        grants.put("ann", Grant(version=1, roles=["role_x"]))  # which takes nothing away
        grants.put("ann", Grant(version=2, disabled=True))
        assert await reason_of(streams[0].read()) == (grpc.StatusCode.PERMISSION_DENIED, "ACCOUNT_DISABLED")
        assert not streams[1].done()
        streams[1].cancel()


class LostLine(GrantsLine):
    async def confirm(self) -> None:
        raise errors.unavailable("directory")


async def test_acts_of_power_fail_closed_when_the_directory_s_word_does_not_reach_us() -> None:
    grants = Grants()
    grants.line = LostLine()
    async with guarded_by(grants) as channel:
        for method, role, code in (
            ("CreateRoom", "admin", grpc.StatusCode.UNAVAILABLE),
            ("CreateRoom", "booker", grpc.StatusCode.PERMISSION_DENIED),
            ("ReportAttendance", "service", grpc.StatusCode.UNIMPLEMENTED),
            ("GetReservation", "admin", grpc.StatusCode.INVALID_ARGUMENT),
            ("CancelReservation", "booker", grpc.StatusCode.UNAVAILABLE),
        ):
            error = await fail(channel, method, api.ListRoomsRequest(), ("authorization", f"Bearer {role}"))
            assert error.code() is code, (method, role)
