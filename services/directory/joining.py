"""What becomes of somebody unknown who signs in: how the organization wants it, and how programs are told of it."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.access.v1 import access_pb2
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.directory import departments, fields
from services.directory.models import DEPARTMENT, MEMBER_GRANT, ORGANIZATION
from services.platform.messaging.grants_line import STRANGERS
from services.platform.serving import errors
from services.platform.text.messages import message

MODE = "JOINING_MODE_"
MOST_DOMAINS = 100
TOLD = frozenset({"joining", "contacts", "display_name"})
"""Columns of the organization that programs are told of."""


def to_column(given: pb.Joining) -> bytes:
    """Checked, but for the departments. The same bytes for the same setting."""
    if given.mode not in pb.JoiningMode.values()[1:]:
        raise errors.invalid("joining.mode", message("is not one of those that there are"))
    if len(given.domains) > MOST_DOMAINS:
        raise errors.invalid("joining.domains", message("must be at most {most}", most=MOST_DOMAINS))
    if given.mode == pb.JOINING_MODE_MAIL_DOMAIN and not given.domains:
        raise errors.invalid("joining.domains", errors.REQUIRED)
    rows = [_domain(f"joining.domains[{place}]", each) for place, each in enumerate(given.domains)]
    for place, each in enumerate(rows):
        if each.domain in {other.domain for other in rows[:place]}:
            raise errors.invalid(f"joining.domains[{place}].domain", message("another row is about this domain"))
    rows.sort(key=lambda each: each.domain)
    return pb.Joining(mode=given.mode, domains=rows).SerializeToString(deterministic=True)


def _domain(path: str, given: pb.JoiningDomain) -> pb.JoiningDomain:
    found = domain_of(f"somebody@{given.domain.strip().removeprefix('@')}")
    if not given.domain.strip():
        raise errors.invalid(f"{path}.domain", errors.REQUIRED)
    if not found:
        raise errors.invalid(f"{path}.domain", message("must be written like math.example.edu"))
    return pb.JoiningDomain(domain=found, department_id=fields.identifier(f"{path}.department_id", given.department_id))


def domain_of(email: str) -> str:
    """All that stands behind the "@", made plain; "" of what is no e-mail address."""
    try:
        return fields.email("email", email).rpartition("@")[2].casefold()
    except errors.RpcError:
        return ""


def check_departments(connection: Connection, stored: bytes) -> None:
    """Raises NOT_FOUND."""
    ids = {each.department_id for each in pb.Joining.FromString(stored).domains}
    if ids - _there(connection, ids):
        raise errors.not_found("department", message("there is no such department"))


def _there(connection: Connection, department_ids: Collection[str]) -> set[str]:
    c = DEPARTMENT.c
    return {*connection.scalars(sa.select(c.department_id).where(c.department_id.in_(department_ids)))}


def of(organization: sa.Row[Any]) -> pb.Joining:
    """As it is stored, without paths."""
    return pb.Joining.FromString(organization.joining or b"") if organization.joining else _OFF


_OFF = pb.Joining(mode=pb.JOINING_MODE_OFF)


def to_message(connection: Connection, organization: sa.Row[Any]) -> pb.Joining:
    found = pb.Joining()
    found.CopyFrom(of(organization))
    paths = departments.paths_of(connection, [each.department_id for each in found.domains]) if found.domains else {}
    for each in found.domains:
        each.path = paths.get(each.department_id, "")
    return found


def to_detail(organization: sa.Row[Any]) -> Mapping[str, Any]:
    """For the audit log."""
    setting = of(organization)
    return {
        "mode": pb.JoiningMode.Name(setting.mode).removeprefix(MODE),
        "domains": {each.domain: each.department_id for each in setting.domains},
    }


def department_for(connection: Connection, setting: pb.Joining, asked: access_pb2.IntroduceRequest) -> str:
    """Whoever is let in at once belongs to it; "": they have to wait."""
    if setting.mode != pb.JOINING_MODE_MAIL_DOMAIN or not asked.email_verified:
        return ""
    domain = domain_of(asked.email)
    wanted = {each.department_id for each in setting.domains if domain and each.domain == domain}
    return next(iter(_there(connection, wanted)), "")


def told(connection: Connection) -> access_pb2.Joining:
    """What programs are told, once it was marked."""
    version = sa.select(MEMBER_GRANT.c.version).where(MEMBER_GRANT.c.account_id == STRANGERS)
    row = connection.execute(sa.select(ORGANIZATION)).one()
    introduced = of(row).mode != pb.JOINING_MODE_OFF
    return access_pb2.Joining(
        version=connection.scalar(version) or 0,
        introduced=introduced,
        organization=row.display_name if introduced else "",
        contacts=_contacts(row) if introduced else (),
    )


def _contacts(row: sa.Row[Any]) -> Iterator[access_pb2.JoiningContact]:
    """Those who are told of who may do what."""
    for each in api.Contacts.FromString(row.contacts).contacts:
        if pb.NOTICE_TOPIC_SECURITY in each.topics:
            yield access_pb2.JoiningContact(display_name=each.display_name, email=each.email)
