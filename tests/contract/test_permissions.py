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
from tools.permissions import PAGE, render, services


def test_every_method_of_the_contracts_says_what_it_needs() -> None:
    listed = {path: needed for service in services() for path, needed in permissions.of(service).items()}
    served = [importlib.import_module(f"services.{name}.api").NEEDED for name in SERVICE_NAMES]
    plumbing = (outbox_service.NEEDED, audit_service.NEEDED)
    assert listed == {path: needed for each in (*served, *plumbing) for path, needed in each.items()}
    assert len(listed) > 40


def test_every_permission_opens_something() -> None:
    """But those that are asked about inside of methods, and what is for later."""
    used = {needed.permission for service in services() for needed in permissions.of(service).values()}
    inside = {"reservations.view_all", "notices.manage", "roles.view", "roles.edit", "organization.transfer"}
    inside |= {"recordings.manage"}
    assert used | inside == set(permissions.CATALOGUE)


def test_what_means_something_for_departments_is_said() -> None:
    """Pages show by that what somebody may do."""
    needed = [each for service in services() for each in permissions.of(service).values()]
    inside = {"reservations.view_all"}
    assert {each.permission for each in needed if each.scoped} | inside >= permissions.LOCAL
    assert {each.permission for each in needed if each.scoped} <= permissions.LOCAL


@pytest.mark.parametrize("permission", ["", " ", "root", "rooms.edit rules.edit"])
def test_a_method_that_says_nothing_or_something_odd_is_refused(
    permission: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package="odd", syntax="proto3")
    file.message_type.add(name="Nothing")
    method = file.service.add(name="OddService").method.add(name="Do", input_type=".odd.Nothing")
    method.output_type = ".odd.Nothing"
    method.options.Extensions[access_pb2.permission] = permission
    pool = DescriptorPool()
    pool.Add(file)
    monkeypatch.setattr(descriptor_pool, "Default", lambda: pool)
    with pytest.raises(ValueError, match="must name one of"):
        permissions.of("odd.OddService")


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `python -m tools.permissions`"
