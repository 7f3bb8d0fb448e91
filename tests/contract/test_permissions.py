"""Every method of the contracts says who may call it, and nothing is served to anybody who does not say so."""

import importlib

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor_pool import DescriptorPool
from yunhui.access.v1 import access_pb2

from services.installation.registry import SERVICE_NAMES
from services.platform.data import audit_service
from services.platform.messaging import outbox_service
from services.platform.serving import permissions
from services.platform.serving.identity import ROLES
from tools.permissions import PAGE, render, services


def test_every_method_of_the_contracts_names_roles() -> None:
    listed = {path: roles for service in services() for path, roles in permissions.of(service).items()}
    served = [importlib.import_module(f"services.{name}.api").ROLES for name in SERVICE_NAMES]
    plumbing = (outbox_service.ROLES, audit_service.ROLES)
    assert listed == {path: roles for each in (*served, *plumbing) for path, roles in each.items()}
    assert set().union(*listed.values()) == ROLES
    assert len(listed) > 40


@pytest.mark.parametrize("roles", ["", " ", "root", "booker, admin", "booker root"])
def test_a_method_that_names_no_roles_or_odd_ones_is_refused(roles: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package="odd", syntax="proto3")
    file.message_type.add(name="Nothing")
    method = file.service.add(name="OddService").method.add(name="Do", input_type=".odd.Nothing")
    method.output_type = ".odd.Nothing"
    method.options.Extensions[access_pb2.roles] = roles
    pool = DescriptorPool()
    pool.Add(file)
    monkeypatch.setattr(descriptor_pool, "Default", lambda: pool)
    with pytest.raises(ValueError, match="must name one or more"):
        permissions.of("odd.OddService")


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `python -m tools.permissions`"
