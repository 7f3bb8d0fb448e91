"""What the policy asks booking over the bus: stored requests, for simulations."""

from nats.aio.client import Client
from yunhui.booking.v1 import export_pb2 as export

from services.contracts import subjects
from services.platform.serving import errors
from services.policy.simulation import Fetch

EXPORT_SECONDS = 10.0


def fetch_over(nats: Client) -> Fetch:
    """Stored requests, page by page. Raises errors.unavailable."""

    async def fetch(asked: export.ExportRequestsRequest) -> export.ExportRequestsResponse:
        try:
            reply = await nats.request(subjects.REQUESTS, asked.SerializeToString(), timeout=EXPORT_SECONDS)
        except Exception as error:
            raise errors.unavailable("booking") from error
        return export.ExportRequestsResponse.FromString(reply.data)

    return fetch
