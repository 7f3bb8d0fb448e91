"""The program notifier: its parts on the host that all services share."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from yunhui.notifier.v1.notifier_service_pb2_grpc import add_NotifierServiceServicer_to_server

from services.notifier import api, models
from services.notifier.assembly import build
from services.notifier.settings import NotifierSettings
from services.platform.host import Host, Service, run

NICENESS = 19
"""Where processors are shared, mail may wait a second and whoever is booking may not."""


@asynccontextmanager
async def start(host: Host[NotifierSettings]) -> AsyncIterator[Service]:
    os.nice(NICENESS)
    notifier = build(host.settings, host.database)
    yield Service(
        servicers={api.SERVICE: partial(add_NotifierServiceServicer_to_server, notifier.service)},
        tables=models.TABLES,
        connection=notifier.publisher.connection,
        wake=notifier.publisher.wake,
        loops=notifier.loops(),
        figures=[notifier.deliveries.figures],
    )


if __name__ == "__main__":
    run("notifier", NotifierSettings, start)
