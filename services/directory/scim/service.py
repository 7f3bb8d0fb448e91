"""SCIM requests: what is let in, how long it may be, and how departments with many members are changed."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar

from scim2_models import (
    BaseModel,
    Context,
    Error,
    InvalidFilterException,
    InvalidPathException,
    ListResponse,
    PatchOp,
    PatchOperation,
    PayloadTooLargeException,
    Resource,
    ResourceType,
    ResponseParameters,
    SCIMException,
    SearchRequest,
)
from scim2_models.path import CompareOperator, Comparison
from scim2_server.conditions import Conditions
from scim2_server.handler import AsyncScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService
from scim2_server.storage import SearchPage

from services.directory.scim.names import from_scim_id, to_scim_error, to_scim_id
from services.directory.scim.schemas import MOST_BYTES, MOST_OPERATIONS, ScimGroup
from services.directory.scim.storage import USER, DirectoryStorage

LONGEST_EXPRESSION = 8 * 1024
"""Characters of a filter or a path: reading them takes time, and everybody waits meanwhile."""
TOO_LONG: Mapping[str, type[SCIMException]] = {"filter": InvalidFilterException, "path": InvalidPathException}

M = TypeVar("M", bound=BaseModel)


class DirectoryScimService(ScimService):
    def max_body_size(self, request: ScimRequest) -> int:
        most = super().max_body_size(request)
        return MOST_BYTES if most is None else most

    def read_body(self, model: type[M], body: bytes, content_type: str | None, scim_ctx: Context) -> M:
        check_size(self.decode_body(body, content_type))
        return super().read_body(model, body, content_type, scim_ctx)

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[Any, Any]:
        check_expressions(payload)
        return super().read_search(resource_types, payload)

    def decode_body(self, body: bytes, content_type: str | None) -> Any:
        if len(body) > MOST_BYTES:
            raise self.payload_too_large(MOST_BYTES)
        return super().decode_body(body, content_type)

    def apply_replacement(
        self, current: Resource[Any], replacement: Resource[Any], conditions: Conditions
    ) -> Resource[Any] | None:
        """Who was shut out is not let in again by a request that says nothing of it."""
        if getattr(replacement, "active", True) is None:
            replacement.active = current.active  # type: ignore[attr-defined]
        return super().apply_replacement(current, replacement, conditions)

    def publish(self, base_url: str, resource: Resource[Any]) -> Resource[Any]:
        """In place: what the storage gives is nobody else's, and copies of thousands of members take long."""
        root = base_url.rstrip("/")
        if resource.meta and resource.id:
            resource.meta.location = self.resource_location(root, self.get_resource_type_of(resource), resource.id)
        for entry in getattr(resource, "members", None) or getattr(resource, "groups", None) or ():
            if "://" not in entry.ref:
                entry.ref = f"{root}/{entry.ref}"
        return resource

    def search_response(
        self, base_url: str, resource_types: list[ResourceType], page: SearchPage, search_request: SearchRequest[Any]
    ) -> ScimResponse:
        """Each is read and written once; the library's does so twice, to tell what we know."""
        body: dict[str, Any] = {
            "schemas": [str(ListResponse.__schema__)],
            "totalResults": page.total,
            "itemsPerPage": len(page.resources),
            "startIndex": search_request.start_index,
            "Resources": [
                self.publish(base_url, each).model_dump(
                    scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=search_request
                )
                | shown_members(base_url, each)
                for each in page.resources
            ],
        }
        return ScimResponse(HTTPStatus.OK, body)

    def query_response(
        self,
        base_url: str,
        resource: Resource[Any],
        response_parameters: ResponseParameters[Any],
        conditions: Conditions,
    ) -> ScimResponse:
        response = super().query_response(base_url, resource, response_parameters, conditions)
        if response.body is None:
            return response
        return replace(response, body=response.body | shown_members(base_url, resource))

    @staticmethod
    def error_of(exception: Exception) -> Error:
        return ScimService.error_of(to_scim_error(exception))


def shown_members(base_url: str, resource: Resource[Any]) -> dict[str, Any]:
    """Those of a group that are only shown, as ScimGroupMember is written."""
    shown = resource._shown if isinstance(resource, ScimGroup) else ()
    ids, root = [(kind, to_scim_id(own)) for kind, own in shown], base_url.rstrip("/")
    members = [{"value": each, "$ref": f"{root}/{kind}s/{each}", "type": kind} for kind, each in ids]
    return {"members": members} if members else {}


class DirectoryScimHandler(AsyncScimHandler):
    storage: DirectoryStorage

    async def patch(self, request: ScimRequest) -> ScimResponse:
        """A department that was changed is known in part: where an answer shows it, it is read anew."""
        response = await super().patch(request)
        if response.body is None or response.body.get("schemas") != [str(ScimGroup.__schema__)]:
            return response
        return await self.query(replace(request, method="GET", headers={}))

    async def patch_resource(
        self, resource_type: ResourceType, resource_id: str, patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Resource[Any]:
        """Of a department with thousands of members, those that the request is about are enough."""
        member_ids = None if resource_type.name == USER else named_members(patch_op)
        if member_ids is None:
            return await super().patch_resource(resource_type, resource_id, patch_op, conditions)
        current = await self.storage.get_group(resource_id, member_ids)
        version = current.meta.version if current.meta else None
        patched = self.service.apply_patch(current, patch_op, conditions)
        if patched is None:
            return current
        return await self.storage.update_group(current, member_ids, version)


def named_members(patch_op: "PatchOp[Any]") -> set[str] | None:
    """Ids of ours of all members of a group that it can change; None when these could be any."""
    named = set[str]()
    for operation in patch_op.operations or ():
        values = _named_by(operation)
        if values is None:
            return None
        named.update(from_scim_id(value) for value in values)
    return named


def _named_by(operation: PatchOperation[Any]) -> list[str] | None:
    path, value = operation.path, operation.value
    if path is None:
        given = {str(key).casefold(): each for key, each in value.items()} if isinstance(value, dict) else {}
        if not any("members" in key for key in given):
            return []
        return _ids(given.get("members")) if operation.op == PatchOperation.Op.add else None
    if path.parts[:1] and path.parts[0].casefold() != "members":
        return []
    if operation.op == PatchOperation.Op.replace_ or len(path.parts) != 1:
        return None
    selected = path.value_filter
    if selected is None:
        return _ids(value)
    if not isinstance(selected, Comparison) or selected.op != CompareOperator.eq:
        return None
    is_id = selected.attr_path.attr.casefold() == "value" and isinstance(selected.value, str)
    return [selected.value] if is_id else None


def _ids(value: Any) -> list[str] | None:
    entries = value if isinstance(value, list) else [value]
    ids = [each.get("value") if isinstance(each, dict) else getattr(each, "value", None) for each in entries]
    named = [each for each in ids if isinstance(each, str)]
    return named if len(named) == len(entries) else None


def check_size(payload: Any) -> None:
    """Before it is looked at closely, which takes longer."""
    check_expressions(payload)
    operations = _get(payload, "operations")
    if isinstance(operations, list) and len(operations) > MOST_OPERATIONS:
        words = f"The number of operations exceeds the maxOperations ({MOST_OPERATIONS})"
        raise PayloadTooLargeException(detail=words)


def check_expressions(payload: Any) -> None:
    """In whatever depth; what comes from JSON is no deeper than its reader allows."""
    waiting = [payload]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            for name, kind in TOO_LONG.items():
                said = _get(each, name)
                if isinstance(said, str) and len(said) > LONGEST_EXPRESSION:
                    raise kind(detail=f"It can have at most {LONGEST_EXPRESSION:,} characters")


def _get(payload: Any, name: str) -> Any:
    """Of an object; capitals do not matter."""
    if not isinstance(payload, dict):
        return None
    return next((value for key, value in payload.items() if key.casefold() == name), None)
