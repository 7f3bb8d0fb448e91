"""gRPC plumbing: one guard around every method that checks who calls and turns errors into google.rpc.Status."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.identity import InvalidTokenError, Principal, Verifier

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024
DOMAIN = "yunhui"
PUBLIC = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_principal: ContextVar[Principal] = ContextVar("principal")


class RpcError(Exception):
    """An error for the caller: a canonical code, a sentence, and machine-readable details."""

    def __init__(self, code: grpc.StatusCode, message: str, *more: Message) -> None:
        super().__init__(message)
        self.code = code
        self.details = more

    def to_status(self) -> status_pb2.Status:
        packed = []
        for detail in self.details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        return status_pb2.Status(code=self.code.value[0], message=str(self), details=packed)


def invalid(field: str, description: str) -> RpcError:
    """INVALID_ARGUMENT with BadRequest: names the field and the way out."""
    violation = details.BadRequest.FieldViolation(field=field, description=description)
    return RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field}: {description}",
        details.BadRequest(field_violations=[violation]),
    )


def failure(code: grpc.StatusCode, reason: str, message: str) -> RpcError:
    """Any other error, with ErrorInfo: `reason` is stable, UPPER_SNAKE_CASE."""
    return RpcError(code, message, details.ErrorInfo(reason=reason, domain=DOMAIN))


def not_found(what: str) -> RpcError:
    """NOT_FOUND; the same for what does not exist and for what is another's."""
    return failure(grpc.StatusCode.NOT_FOUND, f"{what.upper()}_NOT_FOUND", f"there is no such {what}")


def exhausted(reason: str, message: str, retry_seconds: int) -> RpcError:
    """RESOURCE_EXHAUSTED with RetryInfo: nothing was done, there may be more later."""
    return RpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        message,
        details.ErrorInfo(reason=reason, domain=DOMAIN),
        details.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_seconds)),
    )


def unavailable(what: str, retry_seconds: int = 1) -> RpcError:
    """UNAVAILABLE with RetryInfo: nothing was done, try again."""
    return RpcError(
        grpc.StatusCode.UNAVAILABLE,
        f"{what} is away for the moment; nothing was changed, please try again",
        details.ErrorInfo(reason="SERVICE_AWAY", domain=DOMAIN, metadata={"service": what}),
        details.RetryInfo(retry_delay=duration_pb2.Duration(seconds=retry_seconds)),
    )


def principal() -> Principal:
    """Who makes the call that is being served."""
    return _principal.get()


class Guard(grpc.aio.ServerInterceptor):
    """Deny by default: a method without a row in `roles`, or a caller without one of its roles, gets no further."""

    def __init__(self, verifier: Verifier, roles: Mapping[str, frozenset[str]]) -> None:
        self._verifier = verifier
        self._roles = roles
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
        return grpc.unary_unary_rpc_method_handler(
            self._guard_unary(method, handler), None, handler.response_serializer
        )

    def _guard_unary(self, method: str, handler: Any) -> Any:
        async def guarded(body: bytes, context: Context) -> Message:
            try:
                self._admit(method, context)
                answer: Message = await handler.unary_unary(read(handler.request_deserializer, body), context)
                return answer
            except Exception as error:
                await abort(context, method, error)

        return guarded

    def _guard_stream(self, method: str, handler: Any) -> Any:
        async def guarded(body: bytes, context: Context) -> AsyncIterator[Message]:
            try:
                self._admit(method, context)
                async for answer in handler.unary_stream(read(handler.request_deserializer, body), context):
                    yield answer
            except Exception as error:
                await abort(context, method, error)

        return guarded

    def _admit(self, method: str, context: Context) -> None:
        try:
            caller = self._verifier.verify(_bearer(context))
        except InvalidTokenError as error:
            raise failure(grpc.StatusCode.UNAUTHENTICATED, "INVALID_TOKEN", str(error)) from error
        if not caller.has(*self._roles.get(method, frozenset())):
            raise failure(
                grpc.StatusCode.PERMISSION_DENIED,
                "ROLE_MISSING",
                f"this needs one of the roles: {', '.join(sorted(self._roles.get(method, ())))}",
            )
        _principal.set(caller)


def read(deserialize: Callable[[bytes], Message], body: bytes) -> Message:
    try:
        return deserialize(body)
    except DecodeError as error:
        raise invalid("request", "the bytes are not a message of this method") from error


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
        error = failure(grpc.StatusCode.UNIMPLEMENTED, "NOT_BUILT_YET", "this is promised, but not built yet")
    if not isinstance(error, RpcError):
        log.exception("%s failed", method, exc_info=error)
        error = failure(grpc.StatusCode.INTERNAL, "INTERNAL", "an error of ours; it was logged")
    metadata = (("grpc-status-details-bin", error.to_status().SerializeToString()),)
    await context.abort(error.code, str(error), trailing_metadata=metadata)
    raise AssertionError("abort returned")


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
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = grpc.aio.server(
            interceptors=[guard],
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
        self.port = self._server.add_insecure_port(listen)

    async def start(self) -> None:
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
