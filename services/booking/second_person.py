"""The second person: nobody decides about a reservation, or about what came of it, in which they have a part."""

import grpc
from sqlalchemy.engine import Connection

from services.booking import queries
from services.platform.serving import errors
from services.platform.text.messages import message


def require(connection: Connection, reservation_id: str, actor: str) -> None:
    """Raises errors.RpcError when it is for the actor, who asked for it, or whose change of it was taken over.

    In the transaction of what is decided: a change that comes in between counts too.
    """
    if actor in queries.read_parties(connection, reservation_id):
        words = message("it is for you, or you asked for it or changed it: somebody else of support has to decide")
        raise errors.failure(grpc.StatusCode.PERMISSION_DENIED, "SECOND_PERSON_NEEDED", words)
