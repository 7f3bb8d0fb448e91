"""Callers as the guard leaves them: with what the roles in their tokens permit."""

from typing import Any

from services.platform.serving.grants import Grants
from services.platform.serving.identity import ROLES, Principal
from services.platform.serving.permissions import BUILT_IN, Needed


def caller(account_id: str, *roles: str, **fields: Any) -> Principal:
    return Grants().of(Principal(account_id, frozenset(roles), **fields))


def roles_with(needed: Needed) -> set[str]:
    """Of those that tokens claim."""
    return {role for role in ROLES if needed.permission in BUILT_IN[role]}
