"""gRPC plumbing: one guard around every method that checks who calls and turns errors into google.rpc.Status."""

import asyncio
import logging
import math
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.platform.observing import logs, metrics, traces
from services.platform.serving import errors
from services.platform.serving.grants import PROGRAM, Grants, admits, is_power
from services.platform.serving.identity import InvalidTokenError, Principal, Verifier
from services.platform.serving.patience import OutOfPatienceError, Patience
from services.platform.serving.permissions import Needed, Permissions
from services.platform.serving.places import Places, Strangers
from services.platform.serving.rates import NO_LIMIT, Rate
from services.platform.settings import ServerSettings
from services.platform.text.messages import message

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024
BYTES_OF_A_CALL = 4 * 1024
"""A message costs its account one more call for each: what is long takes long, and everybody waits meanwhile."""
MOST_STREAMS_AT_ONCE = 20
"""Of one account, in each replica: they stay open and would use up the calls of all."""
MESSAGE_SECONDS = 10.0
"""For the message of a call to arrive, once its caller is admitted."""
LONGEST_SECONDS = 60.0
"""For a call that its caller gives longer, or no limit at all; streams live as long as their tokens."""
PUBLIC = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
NOT_OFFERED = "/grpc.health.v1.Health/Watch"
"""Anybody could hold it open. The protocol leaves it to servers, and clients take UNIMPLEMENTED for "not watched"."""
STREAMS_OF_CONNECTION = 100
MOST_CONNECTIONS = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4)
"""Databases and the bus need files too."""
MOST_METADATA_BYTES = 16 * 1024
OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # unless both are said, gRPC refuses by chance what lies between them
    ("grpc.max_metadata_size", MOST_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MOST_METADATA_BYTES),
    # counts streams that were reset as long as we have not done with them: a flood of them waits at its own connection
    ("grpc.max_concurrent_streams", STREAMS_OF_CONNECTION),
    # calls that wait for us to accept them: beyond, gRPC cancels some, and asks chance whose (by default from 1,000 on)
    ("grpc.server.max_pending_requests", 100 * STREAMS_OF_CONNECTION),
    ("grpc.server.max_pending_requests_hard_limit", 200 * STREAMS_OF_CONNECTION),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 60_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]
"""What gRPC itself holds connections to, before any code of ours runs."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

LIVE = "live"
"""Asked about by this name, health says only that the program runs: whoever restarts programs should ask that."""
CODES = {code.value[0]: code.name for code in grpc.StatusCode}
CALLS = metrics.histogram("yunhui_rpc_seconds", "duration of unary calls over gRPC", "method", "code")

_principal: ContextVar[Principal] = ContextVar("principal")
_method: ContextVar[str] = ContextVar("method", default="")


def too_long() -> errors.RpcError:
    words = message("not done within {limit:g} s; ask what became of it before you try again", limit=LONGEST_SECONDS)
    return errors.failure(grpc.StatusCode.DEADLINE_EXCEEDED, "TOO_LONG", words)


def too_late() -> errors.RpcError:
    words = message(
        "the message did not arrive within {limit:g} s; nothing was done, please try again", limit=MESSAGE_SECONDS
    )
    return errors.failure(grpc.StatusCode.DEADLINE_EXCEEDED, "NO_MESSAGE", words)


def principal() -> Principal:
    """Who makes the call that is being served."""
    return _principal.get()


def method() -> str:
    """Full name of the method that is being served: package.Service/Method."""
    return _method.get()


class _Stream:
    """One that is open: it ends when its caller may not have it any more."""

    def __init__(self, caller: Principal, method: str, task: "asyncio.Task[Any] | None") -> None:
        self.caller, self.method = caller, method
        self.refusal: errors.RpcError | None = None
        self._task = task

    def end(self, refusal: errors.RpcError) -> None:
        if self._task and not self.refusal:
            self.refusal = refusal
            self._task.cancel()


class RpcGuard(grpc.aio.ServerInterceptor):
    """Deny by default: a method without a row in `needed`, or a caller without what it needs, gets no further.

    Programs (the role service) make as many calls as they need; everybody else as many as `rate` allows, where a long
    message counts for more. The caller is admitted before the message is waited for: gRPC runs a handler of one message
    when that has come, so to gRPC all of ours take a stream, and the guard reads the one message from it.
    """

    def __init__(
        self, verifier: Verifier, needed: Permissions, rate: Rate = NO_LIMIT, grants: Grants | None = None
    ) -> None:
        """`grants`: of tokens alone when none are given."""
        self._verifier = verifier
        self._needed = needed
        self._rate = rate
        self._grants = grants or Grants()
        self._grants.changed = self._on_grant
        self._streams: dict[str, set[_Stream]] = {}
        self._places = Places()
        self._for_messages = Patience(MESSAGE_SECONDS)
        self._for_answers = Patience(LONGEST_SECONDS)
        self._strangers = Strangers()
        self._guarded: dict[str, Any] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], call: grpc.HandlerCallDetails
    ) -> Any:
        if guarded := self._guarded.get(call.method):
            return guarded
        handler = await continuation(call)
        if handler is None or call.method == NOT_OFFERED:
            return None
        guard = self._open if call.method.startswith(PUBLIC) else self._guard
        self._guarded[call.method] = guard(call.method, handler)
        return self._guarded[call.method]

    def _guard(self, method: str, handler: Any) -> Any:
        # the bytes are read after the caller is admitted: grpc itself would answer what it cannot read with UNKNOWN
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._guard_stream(method, handler), None, handler.response_serializer
            )
        guarded = self._guard_unary(method, handler)
        if metrics.on() or traces.on():
            guarded = observed(method, guarded)
        return grpc.stream_unary_rpc_method_handler(guarded, None, handler.response_serializer)

    def _open(self, method: str, handler: Any) -> Any:
        """For anybody, in the places of strangers."""
        if handler.request_streaming:
            opened = self._open_stream(method, handler)
            return grpc.stream_stream_rpc_method_handler(
                opened, handler.request_deserializer, handler.response_serializer
            )
        return grpc.stream_unary_rpc_method_handler(
            self._open_unary(method, handler), None, handler.response_serializer
        )

    def _open_unary(self, method: str, handler: Any) -> Any:
        async def opened(_: object, context: Context) -> Message:
            try:
                async with self._strangers.place(context):
                    body = await receive(context)
                    answer: Message = await handler.unary_unary(read(handler.request_deserializer, body), context)
                return answer
            except Exception as error:
                await abort(context, method, error)

        return opened

    def _open_stream(self, method: str, handler: Any) -> Any:
        async def opened(requests: AsyncIterator[Message], context: Context) -> AsyncIterator[Message]:
            try:
                async with self._strangers.place(context):
                    async for answer in handler.stream_stream(requests, context):
                        yield answer
            except Exception as error:
                await abort(context, method, error)

        return opened

    def _guard_unary(self, method: str, handler: Any) -> Any:
        async def guarded(_: object, context: Context) -> Message:
            try:
                body = await self._admitted(method, context)
                answer = handler.unary_unary(read(handler.request_deserializer, body), context)
                return await self._for_answers.wait(answer)
            except OutOfPatienceError:
                await abort(context, method, too_long())
            except Exception as error:
                await abort(context, method, error)

        return guarded

    def _guard_stream(self, method: str, handler: Any) -> Any:
        async def guarded(_: object, context: Context) -> AsyncIterator[Message]:
            stream = None
            try:
                body = await self._admitted(method, context)
                with self._stream_of(principal(), method) as stream:
                    async for answer in handler.unary_stream(read(handler.request_deserializer, body), context):
                        yield answer
            except asyncio.CancelledError:
                if stream and stream.refusal:
                    await abort(context, method, stream.refusal)
                raise
            except Exception as error:
                await abort(context, method, error)

        return guarded

    @contextmanager
    def _stream_of(self, caller: Principal, method: str) -> Iterator["_Stream"]:
        streams = self._streams.setdefault(caller.account_id, set())
        if len(streams) >= MOST_STREAMS_AT_ONCE and not caller.has(PROGRAM):
            words = message("this account has {limit} streams open: end one first", limit=MOST_STREAMS_AT_ONCE)
            raise errors.exhausted("TOO_MANY_STREAMS", words, 1)
        stream = _Stream(caller, method, asyncio.current_task())
        streams.add(stream)
        try:
            yield stream
        finally:
            streams.discard(stream)
            if not streams:
                self._streams.pop(caller.account_id, None)

    def _on_grant(self, account_id: str) -> None:
        """Ends the account's streams that would not be opened any more; those of all for "", which may concern any."""
        concerned = [self._streams.get(account_id, set())] if account_id else self._streams.values()
        for stream in [each for some in concerned for each in some]:
            try:
                self._check(stream.method, self._grants.of(stream.caller))
            except errors.RpcError as refusal:
                stream.end(refusal)

    async def _admitted(self, method: str, context: Context) -> bytes:
        """The message of a call that may be made."""
        caller = await self._admit(method, context)
        try:
            body = message_of_call(await self._for_messages.wait(context.read()))
        except OutOfPatienceError as error:
            raise too_late() from error
        if more := len(body) // BYTES_OF_A_CALL:
            self._restrain(caller, more)
        return body

    async def _admit(self, method: str, context: Context) -> Principal:
        try:
            caller = await self._verifier.prove(_bearer(context))
        except InvalidTokenError as error:
            raise errors.failure(grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN", str(error)) from error
        if self._grants.is_stranger(caller):
            self._restrain(caller)
            await self._grants.introduce(caller)
        caller = self._grants.of(caller)
        self._restrain(caller)
        needed = self._check(method, caller)
        if is_power(needed) and not caller.has(PROGRAM):
            await self._grants.line.confirm()
            self._check(method, self._grants.of(caller))
        self._places.take(caller, context)
        _principal.set(caller)
        _method.set(method.removeprefix("/"))
        return caller

    def _check(self, method: str, caller: Principal) -> Needed:
        """What the method needs. Raises errors.RpcError when the caller has not got it."""
        needed = self._needed.get(method)
        if needed is None:
            raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", message("this is for nobody"))
        if not admits(caller, needed):
            raise errors.not_permitted(message("this"), needed.permission)
        return needed

    def _restrain(self, caller: Principal, calls: int = 1) -> None:
        seconds = 0.0 if caller.has("service") else self._rate.take(caller.account_id, calls)
        if seconds:
            words = message("too many calls by this account: wait a little")
            raise errors.exhausted("RATE_LIMITED", words, math.ceil(seconds))


async def receive(context: Context) -> bytes:
    """The message of a stranger's call that has one. Raises errors.RpcError when it does not come."""
    try:
        async with asyncio.timeout(MESSAGE_SECONDS):
            body = await context.read()
    except TimeoutError as error:
        raise too_late() from error
    return message_of_call(body)


def message_of_call(body: object) -> bytes:
    """Raises errors.RpcError for anything else that gRPC reads: its mark for the end."""
    if not isinstance(body, bytes):
        raise errors.invalid("request", "the call ended without a message")
    return body


def observed(method: str, guarded: Any) -> Any:
    """The same, measured and traced; what the caller sent as traceparent is where its trace goes on."""
    name = method.rpartition("/")[2]

    async def watched(requests: object, context: Context) -> Any:
        begun = time.perf_counter()
        sent = dict(context.invocation_metadata() or ()).get(traces.HEADER, "")
        try:
            with traces.span(method.lstrip("/"), parent=str(sent), kind="server"):
                return await guarded(requests, context)
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
        raise errors.invalid("request", "the bytes are not a message of this method") from error


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
            grpc.StatusCode.UNIMPLEMENTED, "NOT_AVAILABLE", message("this method is not available yet")
        )
    if not isinstance(error, errors.RpcError):
        caller = _principal.get(None)
        whose = {"account": logs.pseudonym(caller.account_id)} if caller else None
        log.exception("%s failed", method, exc_info=error, extra=whose)
        error = errors.failure(grpc.StatusCode.INTERNAL, "INTERNAL", errors.OURS)
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


Add = Callable[[grpc.aio.Server], None]


class RpcServer:
    """A gRPC server with health, the guard and, in development, reflection.

    `servicers`: by the full name of a service, what adds it to the bare grpc.aio server. `before_stop` ends the streams
    that would not end by themselves.
    """

    def __init__(
        self,
        listen: str,
        guard: RpcGuard,
        servicers: Mapping[str, Add],
        *,
        with_reflection: bool,
        credentials: grpc.ServerCredentials | None = None,
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = grpc.aio.server(interceptors=[guard], options=OPTIONS)
        for add in servicers.values():
            add(self._server)
        self._services = ["", *servicers]
        self._before_stop = before_stop
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if with_reflection:
            names = [*servicers, health.SERVICE_NAME, reflection.SERVICE_NAME]
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
