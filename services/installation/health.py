"""Whether a program answers: gRPC health, the greeting of a mail server, the monitor of the bus."""

import asyncio
import json
import urllib.request
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PATIENCE_SECONDS = 5.0


async def serving(address: str) -> bool:
    """grpc.health.v1 answers SERVING."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs name no methods
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def greets(address: str) -> bool:
    """A mail server says 220."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(host, int(port))
            greeting = await reader.readline()
            writer.write(b"QUIT\r\n")
            writer.close()
    except (OSError, TimeoutError):
        return False
    return greeting.startswith(b"220")


async def page_answers(url: str) -> bool:
    """A program of pages answers 200."""
    return await asyncio.to_thread(_opens, url)


async def page_field(url: str, name: str) -> str:
    """What a JSON document says there; "" when it does not answer or does not say."""
    return str((await asyncio.to_thread(_fetch, url)).get(name, ""))


async def hello(address: str) -> str:
    """A mail server's name for itself, with STARTTLS when it offers that; "" when it does not answer EHLO."""
    import aiosmtplib  # only `doctor` needs it, and `up` stays in memory

    host, _, port = address.rpartition(":")
    try:
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False) as server,
        ):
            await server.ehlo()
            offers = " STARTTLS" if server.supports_extension("starttls") else ""
            return "EHLO" + offers
    except (OSError, TimeoutError, aiosmtplib.SMTPException):
        return ""


async def bus_ready(monitor: str) -> bool:
    """The bus has opened its streams."""
    answer = await bus_report(monitor, "healthz")
    return answer.get("status") == "ok"


async def bus_report(monitor: str, page: str) -> dict[str, Any]:
    """A page of the bus's monitor; empty when it does not answer."""
    return await asyncio.to_thread(_fetch, f"http://{monitor}/{page}")


def _opens(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - http only, see above
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _fetch(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - http only, see above
            content = json.load(answer)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
