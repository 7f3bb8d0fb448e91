"""Whatever is sent to whatever method: a documented code, never INTERNAL or UNKNOWN, and the programs live on."""

import random
from collections import Counter
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from yunhui.booking.v1 import booking_service_pb2
from yunhui.policy.v1 import policy_service_pb2

from tests.system.stack import Stack

pytestmark = pytest.mark.system

SERVICES = {
    "booking": booking_service_pb2.DESCRIPTOR.services_by_name["BookingService"],
    "policy": policy_service_pb2.DESCRIPTOR.services_by_name["PolicyService"],
}
ENDLESS = "/WatchReservations"
ROUNDS = 60
TEXTS = (
    *("", "a", "rsv_x", "../../etc", "'; DROP TABLE room; --", "\x00", "\n"),
    *("会" * 300, "x" * 5000, "١٢٣", "123-456-789"),
)
NUMBERS = (0, 1, -1, 2, 12, 99, 100, 10_000, 2**31 - 1, -(2**31))
LARGE = (*NUMBERS, 2**62, 2**63 - 1, -(2**63), 1_751_860_000)
DOCUMENTED = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "ABORTED",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
}


class Mangler:
    """Fills messages with what nobody should send, and now and then with what somebody might."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def fill(self, message: Message, depth: int = 0) -> Message:
        for field in message.DESCRIPTOR.fields:
            if self._dice.random() < 0.3 or depth > 4:
                continue
            if field.message_type and field.message_type.GetOptions().map_entry:
                continue
            if field.is_repeated:
                getattr(message, field.name).extend(self._value(field, depth) for _ in range(self._dice.randrange(3)))
            elif field.message_type:
                getattr(message, field.name).CopyFrom(self._value(field, depth))
            else:
                setattr(message, field.name, self._value(field, depth))
        return message

    def _value(self, field: Any, depth: int) -> Any:
        pick = self._dice.choice
        if field.message_type:
            return self.fill(GetMessageClass(field.message_type)(), depth + 1)
        if field.enum_type:
            return pick([*field.enum_type.values_by_number, 77])
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return pick(TEXTS)
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return pick([True, False])
        return pick(LARGE if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else NUMBERS)


def took(answer: Any) -> bool:
    """Whether the service has begun to answer, and not refused."""
    answer.initial_metadata()
    return bool(answer.is_active())


def send(channel: grpc.Channel, path: str, request: Message, token: str, *, streams: bool) -> str:
    kind = channel.unary_stream if streams else channel.unary_unary
    call: Any = kind(path, request_serializer=type(request).SerializeToString)
    try:
        answer = call(request, metadata=(("authorization", f"Bearer {token}"),), timeout=10)
        if path.endswith(ENDLESS) and took(answer):
            answer.cancel()
        elif streams:
            list(answer)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


@pytest.mark.parametrize("name", SERVICES)
def test_no_message_finds_an_error_of_ours(stack: Stack, name: str) -> None:
    service, seen = SERVICES[name], Counter[str]()
    tokens = {role: stack.login(role, f"hostile-{role}").token for role in ("booker", "admin", "service")}
    mangler, before = Mangler(7), stack.pids
    with grpc.insecure_channel(stack.run[name]) as channel:
        for method in service.methods:
            for round_ in range(ROUNDS):
                request = mangler.fill(GetMessageClass(method.input_type)())
                role = ("booker", "admin", "service")[round_ % 3]
                path = f"/{service.full_name}/{method.name}"
                code = send(channel, path, request, tokens[role], streams=method.server_streaming)
                assert code in DOCUMENTED, (method.name, code, request)
                seen[code] += 1
    assert stack.pids == before
    assert seen["INVALID_ARGUMENT"] > 50


@pytest.mark.parametrize("name", SERVICES)
def test_bytes_that_are_no_message_are_refused(stack: Stack, name: str) -> None:
    """By us, with a code that says so; the role is asked first, and what is not built yet says so."""
    token = stack.login("admin").token
    with grpc.insecure_channel(stack.run[name]) as channel:
        for method in SERVICES[name].methods:
            call: Any = channel.unary_unary(f"/{SERVICES[name].full_name}/{method.name}")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"\xff\xff\xff\xff", metadata=(("authorization", f"Bearer {token}"),), timeout=10)
            assert caught.value.code().name in ("INVALID_ARGUMENT", "PERMISSION_DENIED", "UNIMPLEMENTED")
