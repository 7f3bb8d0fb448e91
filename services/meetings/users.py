"""The directory's question: who belongs to the organization at the provider, a page at a time."""

import logging

import grpc
from yunhui.meetings.v1 import user_pb2 as pb

from services.meetings import gateway, requests
from services.meetings.provider import (
    AwayError,
    NoSuchPageError,
    NotPermittedError,
    OrganizationUser,
    ProviderError,
    UserPage,
)
from services.meetings.providers import Providers
from services.platform.serving import errors, pages
from services.platform.text.messages import message

log = logging.getLogger(__name__)

USERS = "users"
MOST_BYTES = 900_000
"""Of an answer: the bus carries a little more."""


async def list_users(providers: Providers, asked: pb.ListUsersRequest) -> pb.ListUsersResponse:
    """Of the default provider. Raises errors.RpcError: INVALID_ARGUMENT, PERMISSION_DENIED, UNAVAILABLE, INTERNAL."""
    position = requests.page_token(asked.page_token)
    try:
        page = await providers.default.users(position)
    except ProviderError as error:
        log.warning("no users: %s", error)
        raise _to_rpc_error(error) from error
    answer = to_proto(page)
    if answer.ByteSize() > MOST_BYTES:
        gateway.CALLS.count(USERS, "refused")
        raise errors.failure(grpc.StatusCode.INTERNAL, "PROVIDER_REFUSED", message("the page of users is too large"))
    gateway.CALLS.count(USERS, "known")
    return answer


def _to_rpc_error(error: ProviderError) -> errors.RpcError:
    if isinstance(error, AwayError):
        gateway.CALLS.count(USERS, "away")
        return errors.unavailable("the meeting provider", error.retry_seconds)
    gateway.CALLS.count(USERS, "refused")
    if isinstance(error, NoSuchPageError):
        return pages.not_ours()
    if isinstance(error, NotPermittedError):
        words = message("the meeting provider does not let us ask who belongs to the organization")
        return errors.failure(grpc.StatusCode.PERMISSION_DENIED, error.reason, words)
    words = message("the meeting provider does not understand our question; it was logged")
    return errors.failure(grpc.StatusCode.INTERNAL, error.reason, words)


def to_proto(page: UserPage) -> pb.ListUsersResponse:
    return pb.ListUsersResponse(users=[_to_user(each) for each in page.users], next_page_token=page.next_position)


def _to_user(user: OrganizationUser) -> pb.ProviderUser:
    return pb.ProviderUser(
        user_id=user.user_id,
        account_id=user.account,
        display_name=user.display_name,
        email=user.email,
        phone=user.phone,
        title=user.title,
        staff_id=user.staff_id,
        departments=[pb.ProviderDepartment(names=names) for names in user.departments],
        status=pb.ProviderUserStatus.Value(f"PROVIDER_USER_STATUS_{user.status}"),
        advanced=user.advanced,
    )
