"""Every method of every running program, found by reflection, and calls as anybody."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.registry import SERVICE_NAMES
from services.installation.state import State
from services.platform.serving import permissions, rpc
from tests.callers import roles_with
from tests.patience import PATIENCE_SECONDS
from tests.system.stack import Stack
from tools.permissions import services

NO_MESSAGE = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Door:
    """One method of one program; two programs can offer the same."""

    program: str
    method: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def roles(self) -> set[str]:
        """Those that tokens claim, and that open it."""
        return roles_with(permissions.of(self.method.containing_service.full_name)[self.path])

    def __str__(self) -> str:
        return f"{self.program}{self.path}"


@dataclass
class House:
    """The programs of a stack and connections to them."""

    stack: Stack
    channels: dict[str, grpc.Channel]
    doors: list[Door]
    public: set[str]
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    def token(self, role: str, account: str = "") -> str:
        key = (role, account or role)
        if key not in self.tokens:
            self.tokens[key] = issuer.mint(State(self.stack.state), SampleAccount(key[1], role))
        return self.tokens[key]

    def send(self, door: Door, body: bytes, *metadata: tuple[str, str]) -> grpc.Call:
        """Made with these bytes and until it is over; a stream only until it has begun."""
        channel = self.channels[door.program]
        if door.method.server_streaming:
            stream: Any = channel.unary_stream(door.path)
            return _drained(stream(body, metadata=metadata, timeout=PATIENCE_SECONDS), door)
        made: Any = channel.unary_unary(door.path)
        return _ended(made.future(body, metadata=metadata, timeout=PATIENCE_SECONDS))

    def send_as(self, door: Door, body: bytes, role: str, account: str = "") -> grpc.Call:
        return self.send(door, body, ("authorization", f"Bearer {self.token(role, account)}"))


def _drained(stream: Any, door: Door) -> grpc.Call:
    stream.initial_metadata()  # waits; there are none when the call has failed
    if door.method.name.startswith("Watch") and stream.is_active():
        stream.cancel()
    with contextlib.suppress(grpc.RpcError):
        for _ in stream:
            pass
    return _ended(stream)


def _ended(call: Any) -> grpc.Call:
    call.code()  # waits
    ended: grpc.Call = call
    return ended


@contextmanager
def opened(stack: Stack) -> Iterator[House]:
    channels = {name: grpc.insecure_channel(stack.run[name]) for name in SERVICE_NAMES}
    services()  # imports all of them
    doors, public, contracts = [], set(), descriptor_pool.Default()
    for name, channel in channels.items():
        for service in ProtoReflectionDescriptorDatabase(channel).get_services():
            if f"/{service}/".startswith(rpc.PUBLIC):
                public.add(service)
            else:
                doors += [Door(name, method) for method in contracts.FindServiceByName(service).methods]
    yield House(stack, channels, doors, public)
    for channel in channels.values():
        channel.close()
