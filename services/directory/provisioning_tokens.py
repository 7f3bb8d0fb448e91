"""Tokens that prove identity providers: made, shown once, ended, and compared. Only their SHA-256 is kept."""

import hashlib
import hmac
import secrets
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from yunhui.directory.v1 import provisioning_service_pb2 as pb

from services.directory import fields, roles
from services.directory.changes import Changes, Outcome
from services.directory.models import PROVISIONING_TOKEN
from services.directory.scopes import Actor
from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.serving import errors
from services.platform.text.messages import message

ENTITY = "provisioning_token"
MOST_TOKENS = 2
PERMITTED = ("members.edit", "departments.edit", "licences.edit")
"""What one lets an identity provider do, everywhere."""
PREFIX = "yunhui_scim_"
"""By which people and scanners of secrets know one when they see it."""
RANDOM_BYTES = 32

c = PROVISIONING_TOKEN.c


async def create(
    made: Changes, request: pb.CreateProvisioningTokenRequest, by: Actor
) -> pb.CreateProvisioningTokenResponse:
    """Raises errors.RpcError; then nothing was changed."""
    name, secret = fields.identifier("display_name", request.display_name), PREFIX + secrets.token_urlsafe(RANDOM_BYTES)

    def work(connection: Connection, now: int) -> Outcome[pb.CreateProvisioningTokenResponse]:
        roles.check_held(connection, by, PERMITTED)
        names = connection.scalars(sa.select(c.display_name)).all()
        if name in names:
            words = message("there is a token of this name already")
            raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, "TOKEN_EXISTS", words)
        if len(names) >= MOST_TOKENS:
            words = message("{most} tokens hold already: revoke one", most=MOST_TOKENS)
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_TOKENS", words)
        row = {"display_name": name, "token_hash": digest(secret), "actor": by.account_id, "create_time": now}
        connection.execute(sa.insert(PROVISIONING_TOKEN).values(row))
        token = pb.ProvisioningToken(display_name=name, actor=by.account_id, create_time=to_timestamp(now))
        answer = pb.CreateProvisioningTokenResponse(token=token, secret=secret)
        return Outcome(answer, (), [audit.AuditEntry(by, ENTITY, name)])

    return await made.make(work)


async def list_(database: Database, address: str = "") -> pb.ListProvisioningTokensResponse:
    rows = await database.read(_rows)
    tokens = [
        pb.ProvisioningToken(display_name=row.display_name, actor=row.actor, create_time=to_timestamp(row.create_time))
        for row in rows
    ]
    return pb.ListProvisioningTokensResponse(tokens=tokens, address=address)


async def revoke(made: Changes, request: pb.RevokeProvisioningTokenRequest, by: Actor) -> None:
    """Raises errors.RpcError; then nothing was changed."""
    name = fields.identifier("display_name", request.display_name)

    def work(connection: Connection, now: int) -> Outcome[None]:
        ended = connection.execute(sa.delete(PROVISIONING_TOKEN).where(c.display_name == name))
        if not ended.rowcount:
            raise errors.not_found("provisioning token", message("there is no such token"))
        return Outcome(None, (), [audit.AuditEntry(by, ENTITY, name)])

    await made.make(work)


async def find_name(database: Database, secret: str) -> str | None:
    """Whose token it is; None for one that does not hold. As long for each: all are compared."""
    wanted, found = digest(secret), None
    for row in await database.read(_rows):
        if hmac.compare_digest(row.token_hash, wanted):
            found = row.display_name
    return found


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _rows(connection: Connection) -> list[Row[Any]]:
    query = sa.select(PROVISIONING_TOKEN).order_by(c.create_time, c.display_name)
    return [*connection.execute(query)]
