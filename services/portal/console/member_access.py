"""What a member may do: the roles that they have, and why they may do one thing, or may not."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.portal.calls import ask, services_of
from services.portal.console.forms import GENERAL, FormRefusal, attempt
from services.portal.console.roles import PermissionModule, every, modules, permissions


@dataclass(frozen=True, slots=True)
class AccessOfMember:
    """`why` is the permission that was asked about, "" for none."""

    bindings: Sequence[pb.Binding]
    modules: Sequence[PermissionModule]
    why: str = ""
    explained: api.ExplainAccessResponse | None = None
    roles: Mapping[str, pb.Role] = field(default_factory=dict)

    @property
    def giving(self) -> list[pb.Role]:
        """Roles of which one would help."""
        return [self.roles[each] for each in self.explained.role_ids if each in self.roles] if self.explained else []


async def look(request: Request, account_id: str) -> AccessOfMember | None:
    """None where who looks may not see the roles of this member. Raises grpc.aio.AioRpcError."""
    question = api.ListRolesOfRequest(account_id=account_id)
    asked = attempt(request, services_of(request).roles.ListRolesOf, question, {"MEMBER_NOT_FOUND": GENERAL})
    answer, known = await asyncio.gather(asked, permissions(request))
    if isinstance(answer, FormRefusal):
        return None
    why = request.query_params.get("why", "")
    if why not in {each.permission for each in known}:
        return AccessOfMember(answer.bindings, modules(known))
    about = api.ExplainAccessRequest(account_id=account_id, permission=why)
    explained, roles = await asyncio.gather(
        ask(request, services_of(request).roles.ExplainAccess, about), every(request)
    )
    return AccessOfMember(answer.bindings, modules(known), why, explained, {each.role_id: each for each in roles})
