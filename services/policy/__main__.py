"""Composition root of the policy: rules loaded and compiled, served over gRPC and NATS until SIGTERM."""

import asyncio
import importlib.resources
import logging

from faststream.nats import NatsBroker
from yunhui.policy.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server

from services import rpc
from services.identity import KeySource, Verifier
from services.policy import api
from services.policy.decisions import Policy
from services.policy.subscriptions import create_broker
from services.process import run_until_stopped
from services.settings import ServerSettings, load

log = logging.getLogger(__name__)

DEFAULT_VERSION = "default@1"
RETRY_SECONDS = 1.0


def default_policy() -> Policy:
    """The tutorial's rules, as delivered."""
    source = importlib.resources.files("services.policy") / "rules" / "default.yaml"
    return Policy.load(source.read_text(encoding="utf-8"), DEFAULT_VERSION)


async def answer_forever(broker: NatsBroker) -> None:
    """Connects, however long that takes, and answers until cancelled."""
    try:
        while True:
            try:
                await broker.start()
                await asyncio.Event().wait()
            except Exception as error:
                log.warning("NATS: %s: trying again", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
    finally:
        await broker.stop()


async def main(settings: ServerSettings) -> None:
    policy = default_policy()
    service = api.PolicyService(policy)  # type: ignore[abstract] # see CHANGELOG
    verifier = Verifier(settings.issuer, settings.audience, KeySource(settings.jwks))
    server = rpc.Server(
        settings.listen,
        rpc.Guard(verifier, api.ROLES),
        [api.SERVICE],
        lambda server: add_PolicyServiceServicer_to_server(service, server),
        with_reflection=settings.environment == "development",
    )
    await run_until_stopped(server, answer_forever(create_broker(settings, policy)))


if __name__ == "__main__":
    asyncio.run(main(load(ServerSettings)))
