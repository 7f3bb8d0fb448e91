"""Calls to the services: the address, the token, and errors turned into sentences."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc
from google.protobuf.message import Message
from yunhui.booking.v1.booking_service_pb2_grpc import BookingServiceStub
from yunhui.directory.v1.address_book_service_pb2_grpc import AddressBookServiceStub
from yunhui.directory.v1.department_service_pb2_grpc import DepartmentServiceStub
from yunhui.directory.v1.import_service_pb2_grpc import ImportServiceStub
from yunhui.directory.v1.member_service_pb2_grpc import MemberServiceStub
from yunhui.directory.v1.organization_service_pb2_grpc import OrganizationServiceStub
from yunhui.directory.v1.provisioning_service_pb2_grpc import ProvisioningServiceStub
from yunhui.directory.v1.role_service_pb2_grpc import RoleServiceStub
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub
from yunhui.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub
from yunhui.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.cli.failures import CallError, CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.local import is_loopback_address

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)
S = TypeVar("S")

PATIENCE_SECONDS = 30.0


class Connection(Generic[S]):
    """A connection to one service as one account."""

    def __init__(self, stub: Callable[[grpc.Channel], S], address: str, token: str) -> None:
        self._address = address
        self._channel = open_channel(address)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self.stub = stub(self._channel)

    def ask(self, method: "grpc.UnaryUnaryMultiCallable[Q, A]", request: Q, seconds: float = PATIENCE_SECONDS) -> A:
        """Within so many seconds. Raises CallError."""
        try:
            return method(request, metadata=self._metadata, timeout=seconds)
        except grpc.RpcError as error:
            raise CallError(error, self._address) from error

    def follow(
        self, method: "grpc.UnaryStreamMultiCallable[Q, A]", request: Q, begun: Callable[[], None] = lambda: None
    ) -> Iterator[A]:
        """As long as it takes; `begun` is told when the service has taken the call. Raises CallError."""
        try:
            call = method(request, metadata=self._metadata)
            call.initial_metadata()  # waits; there are none when the call has failed
            if call.is_active():
                begun()
            yield from call
        except grpc.RpcError as error:
            raise CallError(error, self._address) from error

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DirectoryStubs:
    """The directory's services, all at one address."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.address_book = AddressBookServiceStub(channel)
        self.departments = DepartmentServiceStub(channel)
        self.imports = ImportServiceStub(channel)
        self.members = MemberServiceStub(channel)
        self.organization = OrganizationServiceStub(channel)
        self.provisioning = ProvisioningServiceStub(channel)
        self.roles = RoleServiceStub(channel)


Booking = Connection[BookingServiceStub]
Directory = Connection[DirectoryStubs]


def booking_at(address: str, token: str) -> Booking:
    return Connection(BookingServiceStub, address, token)


def open_booking(terminal: Terminal) -> Booking:
    """As whoever is signed in. Raises CommandError."""
    return booking_at(address_of(terminal, "booking"), token(terminal))


def open_directory(terminal: Terminal) -> Directory:
    """As whoever is signed in. Raises CommandError."""
    return Connection(DirectoryStubs, address_of(terminal, "directory"), token(terminal))


def open_policy(terminal: Terminal) -> Connection[PolicyServiceStub]:
    """As whoever is signed in. Raises CommandError."""
    return Connection(PolicyServiceStub, address_of(terminal, "policy"), token(terminal))


def open_meetings(terminal: Terminal) -> Connection[MeetingServiceStub]:
    """As whoever is signed in. Raises CommandError."""
    return Connection(MeetingServiceStub, address_of(terminal, "meetings"), token(terminal))


def open_notifier(terminal: Terminal) -> Connection[NotifierServiceStub]:
    """As whoever is signed in. Raises CommandError."""
    return Connection(NotifierServiceStub, address_of(terminal, "notifier"), token(terminal))


def address_of(terminal: Terminal, service: str) -> str:
    address = os.environ.get(f"YUNHUI_{service.upper()}_ADDRESS") or terminal.state.read_run().get(service)
    if not address:
        raise CommandError(FailureReason.NOT_RUNNING, ExitCode.AWAY)
    return str(address)


def token(terminal: Terminal) -> str:
    found = os.environ.get("YUNHUI_TOKEN") or terminal.session().get("token")
    if not found:
        raise CommandError(FailureReason.NOT_SIGNED_IN)
    return str(found)


def claims(jwt: str) -> dict[str, Any]:
    """What one's own token says, unverified: for showing, never for deciding. Raises CommandError when it is none."""
    try:
        payload = jwt.split(".")[1]
        content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError) as error:
        raise CommandError(FailureReason.NO_TOKEN, ExitCode.USAGE) from error
    return content if isinstance(content, dict) else {}


def no_state(terminal: Terminal) -> CommandError:
    return CommandError(FailureReason.NO_STATE, state=terminal.state.root)


def open_channel(address: str) -> grpc.Channel:
    """Without TLS only on this machine, or where http:// asks for it: a token must not travel in the open."""
    scheme, separator, rest = address.rpartition("://")
    if scheme == "http" or (not separator and is_loopback_address(rest)):
        return grpc.insecure_channel(rest)
    return grpc.secure_channel(rest, channel_credentials())


def channel_credentials() -> grpc.ChannelCredentials:
    """Of the system's authorities, or those of YUNHUI_TLS_CA; with a certificate of one's own if there is one.

    Raises CommandError.
    """
    try:
        authorities, key, certificate = (
            Path(os.environ[name]).read_bytes() if os.environ.get(name) else None
            for name in ("YUNHUI_TLS_CA", "YUNHUI_TLS_KEY", "YUNHUI_TLS_CERTIFICATE")
        )
    except OSError as error:
        raise CommandError(FailureReason.NO_CERTIFICATE, ExitCode.USAGE, file=error.filename) from error
    if bool(key) != bool(certificate):  # grpc would abort the process
        raise CommandError(FailureReason.HALF_A_CERTIFICATE, ExitCode.USAGE)
    return grpc.ssl_channel_credentials(authorities, key, certificate)
