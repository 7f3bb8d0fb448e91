"""Why a member may do something, or may not, as far as the directory knows."""

import importlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import role_service_pb2 as api

from services.directory import bindings, member_queries, roles
from services.directory.member_requests import account_id
from services.directory.models import ROLE_PERMISSION
from services.directory.scopes import Scope
from services.platform.data.database import Database
from services.platform.serving import errors, permissions
from services.platform.serving.permissions import CATALOGUE, ORDINARY, Needed
from services.platform.text.messages import message

_METHOD = re.compile(r"/?(yunhui\.[a-z]+\.v1)\.([A-Z][A-Za-z]+)/([A-Z][A-Za-z]+)")

_SHUT_OUT = {"DISABLED": api.ACCESS_REASON_KIND_DISABLED, "WAITING": api.ACCESS_REASON_KIND_WAITING}


async def explain(database: Database, request: api.ExplainAccessRequest, scope: Scope) -> api.ExplainAccessResponse:
    """Raises errors.RpcError."""
    wanted, needed = account_id("account_id", request.account_id), _needed(request)

    def work(connection: Connection) -> api.ExplainAccessResponse:
        member = member_queries.find(connection, wanted, scope)
        held = bindings.of_member(connection, wanted)
        reasons = [*_reasons(connection, member["status"], held, needed)]
        kinds = {each.kind for each in reasons}
        fors = {api.ACCESS_REASON_KIND_EVERYBODY, api.ACCESS_REASON_KIND_ROLE}
        return api.ExplainAccessResponse(
            allowed=not kinds.isdisjoint(fors) and kinds.isdisjoint(_SHUT_OUT.values()),
            permission=needed.permission,
            scoped=needed.scoped,
            reasons=reasons,
            role_ids=_giving(connection, needed.permission),
        )

    return await database.read(work)


def _reasons(
    connection: Connection, status: str, held: Sequence[sa.Row[Any]], needed: Needed
) -> Iterator[api.AccessReason]:
    if status in _SHUT_OUT:
        yield api.AccessReason(kind=_SHUT_OUT[status])
    everybody = needed.permission in ORDINARY
    if everybody:
        yield api.AccessReason(kind=api.ACCESS_REASON_KIND_EVERYBODY)
    permitted = roles.permissions_of(connection, {row.role_id for row in held})
    giving = [row for row in held if needed.permission in permitted[row.role_id]]
    for row, binding in zip(giving, bindings.to_messages(connection, giving), strict=True):
        enough = needed.scoped or not row.department_id
        yield api.AccessReason(
            kind=api.ACCESS_REASON_KIND_ROLE if enough else api.ACCESS_REASON_KIND_DEPARTMENT_ONLY,
            role_id=binding.role_id,
            role_name=binding.role_name,
            department_id=binding.department_id,
            department_path=binding.department_path,
        )
    if not giving and not everybody:
        yield api.AccessReason(kind=api.ACCESS_REASON_KIND_NOTHING)


def _giving(connection: Connection, permission: str) -> list[str]:
    built_in = [role_id for role_id in roles.MEMBERS_ROLES if permission in permissions.BUILT_IN[role_id]]
    r = ROLE_PERMISSION.c
    own = sa.select(r.role_id).where(r.permission == permission).order_by(r.role_id)
    return [*built_in, *connection.scalars(own)]


def _needed(request: api.ExplainAccessRequest) -> Needed:
    about = request.WhichOneof("about")
    if about == "method":
        return _of_method(request.method)
    if about is None:
        raise errors.invalid("permission", errors.REQUIRED)
    if request.permission not in CATALOGUE:
        raise errors.invalid("permission", message("is not one of those that there are"))
    return Needed(request.permission, scoped=True)


def _of_method(name: str) -> Needed:
    """Of any program of ours: the contracts are the same everywhere."""
    if found := _METHOD.fullmatch(name):
        package, service, method = found.groups()
        module = re.sub(r"(?<!^)(?=[A-Z])", "_", service).lower()
        try:
            importlib.import_module(f"{package}.{module}_pb2")
            return permissions.of(f"{package}.{service}")[f"/{package}.{service}/{method}"]
        except (ImportError, KeyError):
            pass
    raise errors.invalid("method", message("is not a method, such as yunhui.directory.v1.MemberService/GetMember"))
