"""Asks the meetings gateway over NATS who belongs to the organization at the provider."""

import grpc
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.errors import Error as NatsError
from yunhui.meetings.v1 import meeting_service_pb2 as meetings
from yunhui.meetings.v1 import user_pb2 as pb

from services.contracts import subjects
from services.platform.observing import traces
from services.platform.serving import errors
from services.platform.text.messages import message

ASK_SECONDS = 15.0
"""The gateway takes 8 at most."""
AWAY, DENIED = (grpc.StatusCode[name].value[0] for name in ("UNAVAILABLE", "PERMISSION_DENIED"))


class ProviderClient:
    """The directory's side of the gateway."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats

    async def users(self, page_token: str) -> pb.ListUsersResponse:
        """One page. Raises errors.RpcError: UNAVAILABLE when asking again may help."""
        asked = pb.ListUsersRequest(page_token=page_token).SerializeToString()
        try:
            reply = await self._nats.request(subjects.USERS, asked, timeout=ASK_SECONDS, headers=traces.headers())
            found = pb.ListUsersReply.FromString(reply.data)
        except (NatsError, TimeoutError, DecodeError) as error:
            raise errors.unavailable("the meetings gateway") from error
        if found.HasField("error"):
            raise _to_error(found.error)
        if not found.HasField("response"):
            raise errors.unavailable("the meetings gateway")
        return found.response


def _to_error(error: meetings.MeetingsError) -> errors.RpcError:
    if error.code == AWAY:
        return errors.unavailable("the meeting provider", max(1, error.retry_after_ms // 1000))
    if error.code == DENIED:
        words = message("the meeting provider does not let us ask who belongs to the organization")
        return errors.failure(grpc.StatusCode.PERMISSION_DENIED, "NOT_PERMITTED", words)
    words, figures = message("the meetings service cannot answer"), {"said": error.message}
    return errors.failure(grpc.StatusCode.INTERNAL, "MEETINGS_REFUSED", words, figures=figures)
