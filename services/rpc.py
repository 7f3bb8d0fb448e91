"""gRPC plumbing: one guard around every method that checks who calls and turns errors into google.rpc.Status."""

import asyncio
import logging
import math
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services import errors, logs, metrics, traces
from services.identity import InvalidTokenError, Principal, Verifier
from services.settings import ServerSettings

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024
MOST_CALLS_AT_ONCE = 2_000
MOST_STREAMS_AT_ONCE = 20
"""Of one account, in each replica: they stay open and would use up the calls of all."""
LONGEST_SECONDS = 60.0
"""For a call that its caller gives longer, or no limit at all; streams live as long as their tokens."""
PUBLIC = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

LIVE = "live"
"""Asked about by this name, health says only that the program runs: whoever restarts programs should ask that."""
CODES = {code.value[0]: code.name for code in grpc.StatusCode}
CALLS = metrics.histogram("yunhui_rpc_seconds", "duration of unary calls over gRPC", "method", "code")

_principal: ContextVar[Principal] = ContextVar("principal")
_method: ContextVar[str] = ContextVar("method", default="")


def too_long() -> errors.RpcError:
    message = f"not done within {LONGEST_SECONDS:g} s; ask what became of it before you try again"
    chinese = f"{LONGEST_SECONDS:g} 秒内没有完成；重试之前请先查询结果"
    return errors.failure(grpc.StatusCode.DEADLINE_EXCEEDED, "TOO_LONG", message, chinese)


def principal() -> Principal:
    """Who makes the call that is being served."""
    return _principal.get()


def method() -> str:
    """Full name of the method that is being served: package.Service/Method."""
    return _method.get()


class Rate:
    """At most so many calls a minute by one account: all of them at once, or one after the other (a token bucket).

    Counted in each replica by itself; 0 is no limit. The least recent account is forgotten first.
    """

    REMEMBERED = 10_000

    def __init__(self, calls_a_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / calls_a_minute if calls_a_minute else 0.0
        self._slack = self._interval * (calls_a_minute - 1)
        self._now = now
        self._full: OrderedDict[str, float] = OrderedDict()  # when the account's bucket will be full again

    def take(self, account: str) -> float:
        """0 when the call may be made, else the seconds to wait."""
        if not self._interval:
            return 0.0
        now = self._now()
        full = max(self._full.get(account, now), now)
        if full - now > self._slack + EPSILON:
            return full - now - self._slack
        self._full[account] = full + self._interval
        self._full.move_to_end(account)
        if len(self._full) > self.REMEMBERED:
            self._full.popitem(last=False)
        return 0.0


EPSILON = 1e-6
NO_LIMIT = Rate(0)


class Guard(grpc.aio.ServerInterceptor):
    """Deny by default: a method without a row in `roles`, or a caller without one of its roles, gets no further.

    Programs (the role service) make as many calls as they need; everybody else as many as `rate` allows.
    """

    def __init__(self, verifier: Verifier, roles: Mapping[str, frozenset[str]], rate: Rate = NO_LIMIT) -> None:
        self._verifier = verifier
        self._roles = roles
        self._rate = rate
        self._streams: Counter[str] = Counter()
        self._guarded: dict[str, Any] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], call: grpc.HandlerCallDetails
    ) -> Any:
        if guarded := self._guarded.get(call.method):
            return guarded
        handler = await continuation(call)
        if handler is None or call.method.startswith(PUBLIC):
            return handler
        self._guarded[call.method] = self._guard(call.method, handler)
        return self._guarded[call.method]

    def _guard(self, method: str, handler: Any) -> Any:
        # the bytes are read after the caller is admitted: grpc itself would answer what it cannot read with UNKNOWN
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._guard_stream(method, handler), None, handler.response_serializer
            )
        guarded = self._guard_unary(method, handler)
        if metrics.on() or traces.on():
            guarded = observed(method, guarded)
        return grpc.unary_unary_rpc_method_handler(guarded, None, handler.response_serializer)

    def _guard_unary(self, method: str, handler: Any) -> Any:
        async def guarded(body: bytes, context: Context) -> Message:
            try:
                await self._admit(method, context)
                async with asyncio.timeout(LONGEST_SECONDS) as limit:
                    answer: Message = await handler.unary_unary(read(handler.request_deserializer, body), context)
                return answer
            except TimeoutError as error:
                await abort(context, method, too_long() if limit.expired() else error)
            except Exception as error:
                await abort(context, method, error)

        return guarded

    def _guard_stream(self, method: str, handler: Any) -> Any:
        async def guarded(body: bytes, context: Context) -> AsyncIterator[Message]:
            try:
                await self._admit(method, context)
                with self._stream_of(principal()):
                    async for answer in handler.unary_stream(read(handler.request_deserializer, body), context):
                        yield answer
            except Exception as error:
                await abort(context, method, error)

        return guarded

    @contextmanager
    def _stream_of(self, caller: Principal) -> Iterator[None]:
        account = caller.account_id
        if self._streams[account] >= MOST_STREAMS_AT_ONCE and not caller.has("service"):
            words = f"this account has {MOST_STREAMS_AT_ONCE} streams open: end one first"
            chinese = f"这个账号已打开 {MOST_STREAMS_AT_ONCE} 个订阅：请先结束一个"
            raise errors.exhausted("TOO_MANY_STREAMS", words, chinese, 1)
        self._streams[account] += 1
        try:
            yield
        finally:
            self._streams[account] -= 1
            if not self._streams[account]:
                del self._streams[account]

    async def _admit(self, method: str, context: Context) -> None:
        try:
            caller = await self._verifier.prove(_bearer(context))
        except InvalidTokenError as error:
            raise errors.failure(grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN", str(error), "") from error
        self._restrain(caller)
        if not caller.has(*self._roles.get(method, frozenset())):
            raise errors.role_missing("this", "这项操作", self._roles.get(method, frozenset()))
        _principal.set(caller)
        _method.set(method.removeprefix("/"))

    def _restrain(self, caller: Principal) -> None:
        seconds = 0.0 if caller.has("service") else self._rate.take(caller.account_id)
        if seconds:
            words = "too many calls by this account: wait a little", "这个账号的调用过于频繁：请稍候"
            raise errors.exhausted("RATE_LIMITED", *words, math.ceil(seconds))


def observed(method: str, guarded: Any) -> Any:
    """The same, measured and traced; what the caller sent as traceparent is where its trace goes on."""
    name = method.rpartition("/")[2]

    async def watched(body: bytes, context: Context) -> Any:
        begun = time.perf_counter()
        sent = dict(context.invocation_metadata() or ()).get(traces.HEADER, "")
        try:
            with traces.span(method.lstrip("/"), parent=str(sent), kind="server"):
                return await guarded(body, context)
        finally:
            code = code_name(context)
            CALLS.observe(name, code, value=time.perf_counter() - begun)

    return watched


def code_name(context: Context) -> str:
    """What the call ended with; grpc.aio tells the number, and nothing when all went well."""
    code: Any = context.code()
    return CODES.get(code or 0, "UNKNOWN")


def read(deserialize: Callable[[bytes], Message], body: bytes) -> Message:
    try:
        return deserialize(body)
    except DecodeError as error:
        raise errors.invalid("request", "the bytes are not a message of this method", "") from error


def _bearer(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            return value[7:]
    raise InvalidTokenError("no bearer token: sign in first")


async def abort(context: Context, method: str, error: Exception) -> NoReturn:
    """Ends the call with the error's status; what nobody foresaw becomes INTERNAL, with the cause only in the log."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, NotImplementedError):
        error = errors.failure(
            grpc.StatusCode.UNIMPLEMENTED, "NOT_BUILT_YET", "this is promised, but not built yet", ""
        )
    if not isinstance(error, errors.RpcError):
        caller = _principal.get(None)
        whose = {"account": logs.pseudonym(caller.account_id)} if caller else None
        log.exception("%s failed", method, exc_info=error, extra=whose)
        error = errors.failure(grpc.StatusCode.INTERNAL, "INTERNAL", *errors.OURS)
    metadata = (("grpc-status-details-bin", error.to_status().SerializeToString()),)
    await context.abort(error.code, str(error), trailing_metadata=metadata)
    raise AssertionError("abort returned")


def server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """TLS, with certificates of callers if an authority for them is set; None for plaintext. Raises OSError."""
    if not settings.tls_certificate or not settings.tls_key:
        return None
    pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
    authorities = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
    return grpc.ssl_server_credentials([pair], authorities, require_client_auth=authorities is not None)


class Server:
    """A gRPC server with health, the guard and, in development, reflection.

    `add` gets the bare grpc.aio server and adds the servicers; `services` are their full names. `before_stop` ends the
    streams that would not end by themselves.
    """

    def __init__(
        self,
        listen: str,
        guard: Guard,
        services: list[str],
        add: Callable[[grpc.aio.Server], None],
        *,
        with_reflection: bool,
        credentials: grpc.ServerCredentials | None = None,
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = grpc.aio.server(
            interceptors=[guard],
            maximum_concurrent_rpcs=MOST_CALLS_AT_ONCE,
            options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
        )
        add(self._server)
        self._services = ["", *services]
        self._before_stop = before_stop
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if with_reflection:
            names = [*services, health.SERVICE_NAME, reflection.SERVICE_NAME]
            reflection.enable_server_reflection(names, self._server)
        if credentials:
            self.port = self._server.add_secure_port(listen, credentials)
        else:
            self.port = self._server.add_insecure_port(listen)

    async def start(self) -> None:
        """NOT_SERVING until `set_ready` says otherwise."""
        await self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self.set_ready(False)
        await self._server.start()

    async def set_ready(self, ready: bool) -> None:
        """What grpc.health.v1 answers: SERVING only while calls would be answered."""
        status = health_pb2.HealthCheckResponse
        for name in self._services:
            await self._health.set(name, status.SERVING if ready else status.NOT_SERVING)

    async def stop(self) -> None:
        """Takes no new calls and lets those under way finish."""
        await self._health.enter_graceful_shutdown()
        self._before_stop()
        await self._server.stop(grace=10)
