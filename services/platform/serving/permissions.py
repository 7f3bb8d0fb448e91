"""Which roles may call which method: what the contracts say (proto/yunhui/access), read from the descriptors."""

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from yunhui.access.v1 import access_pb2

from services.platform.serving.identity import ROLES

Permissions = dict[str, frozenset[str]]
"""From the path of a method to the roles that may call it."""


def of(service: str) -> Permissions:
    """By the full name of a service whose stubs are imported. Raises ValueError for a method that says no roles."""
    descriptor = descriptor_pool.Default().FindServiceByName(service)
    return {f"/{service}/{method.name}": _roles(method) for method in descriptor.methods}


def _roles(method: MethodDescriptor) -> frozenset[str]:
    said: str = method.GetOptions().Extensions[access_pb2.roles]
    roles = frozenset(said.split())
    if not roles or not roles <= ROLES:
        raise ValueError(
            f"{method.full_name}: (yunhui.access.v1.roles) must name one or more of {' '.join(sorted(ROLES))}"
        )
    return roles
