"""Nobody reads along: gRPC and the bus with TLS and certificates of both sides, on real servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import nats
import nats.errors
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.booking.api import NEEDED
from services.cli import client
from services.cli.failures import CommandError
from services.platform.messaging import bus, request_reply
from services.platform.serving import rpc
from services.platform.settings import ServerSettings, Settings
from tests.patience import PATIENCE_SECONDS
from tests.plumbing.test_rpc import NamedTokens
from tests.servers import Bus, password

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Papers:
    """Files of one party: its certificate and key, and whom it trusts."""

    authorities: Path
    certificate: Path
    key: Path


class Office:
    """Issues papers: two authorities that do not know each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ours, self._foreign = trustme.CA(), trustme.CA()

    def papers(self, name: str, *, foreign: bool = False, expired: bool = False) -> Papers:
        issuer = self._foreign if foreign else self._ours
        until = LONG_AGO + timedelta(days=1) if expired else None
        made = issuer.issue_cert("localhost", "127.0.0.1", not_before=LONG_AGO, not_after=until)
        files = Papers(*(self._folder / f"{name}.{kind}.pem" for kind in ("ca", "cert", "key")))
        self._ours.cert_pem.write_to_path(str(files.authorities))
        made.private_key_pem.write_to_path(str(files.key))
        for number, part in enumerate(made.cert_chain_pems):
            part.write_to_path(str(files.certificate), append=number > 0)
        return files


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


@asynccontextmanager
async def served(papers: Papers, *, mutual: bool) -> AsyncIterator[str]:
    settings = ServerSettings(
        environment="development",
        issuer="https://id.example.org",
        tls_certificate=papers.certificate,
        tls_key=papers.key,
        tls_client_ca=papers.authorities if mutual else None,
    )
    credentials = rpc.server_credentials(settings)
    guard = rpc.RpcGuard(NamedTokens(), NEEDED)
    server = rpc.RpcServer("127.0.0.1:0", guard, {}, with_reflection=False, credentials=credentials)
    await server.start()
    await server.set_ready(True)
    yield f"localhost:{server.port}"
    await server.stop()


async def answers(channel: grpc.aio.Channel) -> bool:
    async with channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNAVAILABLE
    return True


def channel(address: str, papers: Papers, *, with_certificate: bool = True) -> grpc.aio.Channel:
    pair = (papers.key.read_bytes(), papers.certificate.read_bytes()) if with_certificate else (None, None)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(papers.authorities.read_bytes(), *pair))


async def test_grpc_is_served_with_the_right_certificates_and_nothing_else(office: Office) -> None:
    ours = office.papers("ours")
    async with served(office.papers("server"), mutual=True) as address:
        assert await answers(channel(address, ours))
        assert not await answers(grpc.aio.insecure_channel(address))
        assert not await answers(channel(address, ours, with_certificate=False))
        assert not await answers(channel(address, office.papers("foreign", foreign=True)))
        assert not await answers(channel(address, office.papers("expired", expired=True)))
    async with served(office.papers("server"), mutual=False) as address:
        assert await answers(channel(address, ours, with_certificate=False))
        assert not await answers(grpc.aio.insecure_channel(address))


@pytest.mark.parametrize("wrong", [{"foreign": True}, {"expired": True}])
async def test_a_server_with_a_wrong_certificate_is_not_spoken_to(office: Office, wrong: dict[str, bool]) -> None:
    async with served(office.papers("server", **wrong), mutual=False) as address:
        assert not await answers(channel(address, office.papers("ours"), with_certificate=False))


async def test_the_command_shows_its_certificate(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = office.papers("ours")
    async with served(office.papers("server"), mutual=True) as address:
        assert not await answers(grpc.aio.secure_channel(address, client.channel_credentials()))
        monkeypatch.setenv("YUNHUI_TLS_CA", str(ours.authorities))
        assert not await answers(grpc.aio.secure_channel(address, client.channel_credentials()))
        monkeypatch.setenv("YUNHUI_TLS_CERTIFICATE", str(ours.certificate))
        with pytest.raises(CommandError, match="belong together"):
            client.channel_credentials()
        monkeypatch.setenv("YUNHUI_TLS_KEY", str(ours.key))
        assert await answers(grpc.aio.secure_channel(address, client.channel_credentials()))
    monkeypatch.setenv("YUNHUI_TLS_CA", "/nowhere.pem")
    with pytest.raises(CommandError) as caught:
        client.channel_credentials()
    assert "/nowhere.pem" in caught.value.sentence("zh-CN")


@asynccontextmanager
async def bus_with(server: Papers, folder: Path) -> AsyncIterator[Bus]:
    files = {"CERTIFICATE": server.certificate, "KEY": server.key, "CLIENT_CA": server.authorities}
    made = Bus(folder / "nats", {f"NATS_TLS_{name}": str(path) for name, path in files.items()})
    await made.start()
    yield made
    await made.stop()


def settings(server: Bus, papers: Papers | None, *, with_certificate: bool = True) -> Settings:
    return Settings(
        environment="development",
        nats_url=server.url,
        nats_user="booking",
        nats_password=password("booking"),
        nats_ca=papers.authorities if papers else None,
        nats_certificate=papers.certificate if papers and with_certificate else None,
        nats_key=papers.key if papers and with_certificate else None,
    )


async def gets_in(settings: Settings) -> bool:
    options = {**bus.connect_options(settings, "booking"), "allow_reconnect": False, "connect_timeout": 5}
    try:
        connection = await nats.connect(settings.nats_url, **options)
        await connection.flush()
    except (nats.errors.Error, OSError, TimeoutError):
        return False
    await connection.close()
    return True


async def test_the_bus_is_open_to_the_right_certificates_and_nothing_else(office: Office, tmp_path: Path) -> None:
    ours = office.papers("ours")
    async with bus_with(office.papers("server"), tmp_path) as server:
        assert await gets_in(settings(server, ours))
        assert not await gets_in(settings(server, None))
        assert not await gets_in(settings(server, ours, with_certificate=False))
        assert not await gets_in(settings(server, office.papers("foreign", foreign=True)))
        assert not await gets_in(settings(server, office.papers("expired", expired=True)))
        broker = request_reply.create_broker(settings(server, ours), "booking")
        await broker.start()
        assert await broker.ping(5)
        await broker.stop()


@pytest.mark.parametrize("wrong", [{"foreign": True}, {"expired": True}])
async def test_a_bus_with_a_wrong_certificate_is_not_spoken_to(
    office: Office, tmp_path: Path, wrong: dict[str, bool]
) -> None:
    async with bus_with(office.papers("server", **wrong), tmp_path) as server:
        assert not await gets_in(settings(server, office.papers("ours")))


async def test_a_bus_without_tls_never_sees_the_password(office: Office, tmp_path: Path) -> None:
    """Whoever imitates the bus need not ask for TLS: the client must."""
    server = Bus(tmp_path / "nats")
    await server.start()
    assert await gets_in(settings(server, None))
    assert not await gets_in(settings(server, office.papers("ours")))
    await server.stop()
