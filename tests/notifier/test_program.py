"""The notifier as a process: started as installations start it, ended by SIGTERM."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from joserfc.jwk import ECKey, KeySet

from services.installation.ports import free_port
from services.platform.serving.rpc import LIVE
from tests.notifier import samples
from tests.plumbing.test_readiness import damaged
from tests.servers import HOST, Bus, MailSink, password, until


@asynccontextmanager
async def program(bus: Bus, sink: MailSink, folder: Path, listen: str) -> AsyncIterator[asyncio.subprocess.Process]:
    keys = KeySet([ECKey.generate_key("P-256")])
    (folder / "jwks.json").write_text(json.dumps(keys.as_dict(private=False)))
    environment = {
        "YUNHUI_ENVIRONMENT": "development",
        "YUNHUI_NATS_URL": bus.url,
        "YUNHUI_NATS_USER": "notifier",
        "YUNHUI_NATS_PASSWORD": password("notifier"),
        "YUNHUI_LISTEN": listen,
        "YUNHUI_DATABASE_URL": f"sqlite:///{folder / 'notifier.db'}",
        "YUNHUI_MAIL_FROM": samples.LETTERHEAD.sender,
        "YUNHUI_SMTP_PORT": str(sink.port),
        "YUNHUI_SMTP_TLS": "off",
        "YUNHUI_ISSUER": "https://issuer.example.org",
        "YUNHUI_JWKS": str(folder / "jwks.json"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.notifier", env={**os.environ, **environment}, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def serving(address: str, service: str = "") -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs name no methods
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_sigterm_finishes_the_mail_in_hand(bus: Bus, sink: MailSink, tmp_path: Path) -> None:
    """The mail that the server is taking is taken and marked; the next start sends nothing twice."""
    sink.gate = asyncio.Event()
    await bus.publish(samples.headers("reservation.confirmed"), samples.payload(samples.confirmed()))
    async with program(bus, sink, tmp_path, f"{HOST}:{free_port()}") as process:
        await until(lambda: sink.asked == 1)
        process.terminate()
        sink.gate.set()
        _, log = await process.communicate()
    assert process.returncode == 0
    assert b"accepted, code 250" in log
    assert len(sink.taken) == 1
    assert await bus.drained()


async def test_a_damaged_table_is_said_by_the_health(bus: Bus, sink: MailSink, tmp_path: Path) -> None:
    """NOT_SERVING while nobody could read the deliveries, though alive; SERVING when they are as they were."""
    listen = f"{HOST}:{free_port()}"
    async with program(bus, sink, tmp_path, listen):
        await until(lambda: serving(listen))
        with damaged(tmp_path / "notifier.db", "delivery"):
            await until(lambda: not_serving(listen))
            assert await serving(listen, LIVE)
        await until(lambda: serving(listen))


async def not_serving(listen: str) -> bool:
    return not await serving(listen)


async def test_starts_and_stops_without_the_bus(bus: Bus, sink: MailSink, tmp_path: Path) -> None:
    """It lives, is not ready, waits, and goes when told."""
    await bus.stop()
    listen = f"{HOST}:{free_port()}"
    async with program(bus, sink, tmp_path, listen) as process:
        await until(lambda: serving(listen, LIVE))
        assert not await serving(listen)
        process.terminate()
        _, log = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in log
