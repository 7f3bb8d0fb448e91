"""Names by which identity providers know what the directory knows by its own: ids, fields, faults."""

import base64
import binascii
import re
from collections.abc import Mapping

import grpc
from google.rpc import error_details_pb2 as details
from scim2_models import (
    ConflictException,
    ForbiddenException,
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    SCIMException,
    UniquenessException,
)

from services.platform.data.database import ConflictError
from services.platform.serving import errors

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,127})")
_MARK = "~"
_SUFFIX = ".scim"
"""RFC 7644 3.8 lets a path end in it."""

FIELDS: Mapping[str, str] = {
    "account_id": "externalId, or userName without one",
    "display_name": "displayName",
    "email": "emails",
    "phone": "phoneNumbers",
    "staff_id": "employeeNumber",
    "memberships": "groups and department",
}


class UnavailableException(SCIMException):
    """503: nothing was done, and the same may go through later."""

    status = 503


def to_scim_id(own: str) -> str:
    """What stands in an address: an account id may have any characters, also those that cut an address in parts."""
    if _PLAIN.fullmatch(own) and not own.endswith(_SUFFIX):
        return own
    return _MARK + base64.urlsafe_b64encode(own.encode()).decode().rstrip("=")


def from_scim_id(scim_id: str) -> str:
    """ "" for one that nothing has."""
    own = scim_id
    if scim_id.startswith(_MARK):
        try:
            coded = scim_id.removeprefix(_MARK)
            own = base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            return ""
    return own if to_scim_id(own) == scim_id else ""


def to_scim_error(error: Exception) -> Exception:
    """What the directory refuses, as SCIM says it; any other error as it is."""
    if isinstance(error, ConflictError):
        return ConflictException(detail="It was changed by others meanwhile: look again.")
    if not isinstance(error, errors.RpcError):
        return error
    reason = next((each.reason for each in error.details if isinstance(each, details.ErrorInfo)), "")
    if reason == "STALE_VERSION":
        return PreconditionFailedException(detail=str(error))
    if reason == "CYCLE":
        return InvalidValueException(detail=str(error))
    kinds: Mapping[grpc.StatusCode, type[SCIMException]] = {
        grpc.StatusCode.INVALID_ARGUMENT: InvalidValueException,
        grpc.StatusCode.ALREADY_EXISTS: UniquenessException,
        grpc.StatusCode.NOT_FOUND: NotFoundException,
        grpc.StatusCode.PERMISSION_DENIED: ForbiddenException,
        grpc.StatusCode.FAILED_PRECONDITION: ConflictException,
        grpc.StatusCode.UNAVAILABLE: UnavailableException,
    }
    kind = kinds.get(error.code)
    return kind(detail=_detail(error)) if kind else error


def _detail(error: errors.RpcError) -> str:
    for detail in error.details:
        if isinstance(detail, details.BadRequest) and detail.field_violations:
            [violation] = detail.field_violations
            name = violation.field.removeprefix("member.")
            return f"{FIELDS.get(name, name)}: {violation.description}"
    return str(error)
