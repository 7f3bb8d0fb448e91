"""The services that the portal asks, over gRPC, each call with the token of the person who looks."""

import json

import grpc
from yunhui.booking.v1.booking_service_pb2_grpc import BookingServiceStub
from yunhui.directory.v1.address_book_service_pb2_grpc import AddressBookServiceStub
from yunhui.directory.v1.department_service_pb2_grpc import DepartmentServiceStub
from yunhui.directory.v1.import_service_pb2_grpc import ImportServiceStub
from yunhui.directory.v1.member_service_pb2_grpc import MemberServiceStub
from yunhui.directory.v1.organization_service_pb2_grpc import OrganizationServiceStub
from yunhui.directory.v1.provisioning_service_pb2_grpc import ProvisioningServiceStub
from yunhui.directory.v1.role_service_pb2_grpc import RoleServiceStub
from yunhui.meetings.v1.control_service_pb2_grpc import ControlServiceStub
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub
from yunhui.meetings.v1.recording_service_pb2_grpc import RecordingServiceStub
from yunhui.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub
from yunhui.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.platform.local import is_loopback_address
from services.portal.sessions import Person

PATIENCE_SECONDS = 10.0
MOST_CONNECTIONS = 20
"""To each service, opened when needed: one carries 100 calls at once, and an open page may hold one (live.py)."""
OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.max_connections_per_subchannel_cap", MOST_CONNECTIONS),
    ("grpc.service_config", json.dumps({"connectionScaling": {"maxConnectionsPerSubchannel": MOST_CONNECTIONS}})),
]


class Services:
    """Stubs by service. Addresses are host:port, with http:// in front where a network is trusted without TLS.

    A call: await services.booking.ListRooms(request, metadata=services.metadata(person), timeout=services.timeout).
    """

    timeout = PATIENCE_SECONDS
    """Seconds."""

    def __init__(self, booking: str, meetings: str, notifier: str, policy: str, directory: str) -> None:
        addresses = (booking, meetings, notifier, policy, directory)
        self._channels = [open_channel(address) for address in addresses]
        self.booking = BookingServiceStub(self._channels[0])
        self.meetings = MeetingServiceStub(self._channels[1])
        self.control = ControlServiceStub(self._channels[1])
        self.recordings = RecordingServiceStub(self._channels[1])
        self.notifier = NotifierServiceStub(self._channels[2])
        self.policy = PolicyServiceStub(self._channels[3])
        self.address_book = AddressBookServiceStub(self._channels[4])
        self.departments = DepartmentServiceStub(self._channels[4])
        self.imports = ImportServiceStub(self._channels[4])
        self.members = MemberServiceStub(self._channels[4])
        self.organization = OrganizationServiceStub(self._channels[4])
        self.provisioning = ProvisioningServiceStub(self._channels[4])
        self.roles = RoleServiceStub(self._channels[4])

    def metadata(self, person: Person) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {person.token}"),)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


def open_channel(address: str) -> grpc.aio.Channel:
    """Without TLS only on this machine, or where http:// asks for it: a token must not travel in the open."""
    scheme, separator, rest = address.rpartition("://")
    if scheme == "http" or (not separator and is_loopback_address(rest)):
        return grpc.aio.insecure_channel(rest, options=OPTIONS)
    return grpc.aio.secure_channel(rest, grpc.ssl_channel_credentials(), options=OPTIONS)
