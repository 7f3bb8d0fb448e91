"""A real issuer (npm oidc-provider), a real bus, and a portal in between."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.installation.ports import free_port
from tests.nodejs import install
from tests.portal.served import Browser, Provider, Served, client_of, serve_portal, serve_rooms
from tests.servers import HOST, Bus

OIDC = Path(__file__).parent / "oidc"
HOURS = 3600


@pytest.fixture(scope="session")
def oidc_provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed provider."""
    folder = tmp_path_factory.mktemp("oidc")
    install(OIDC, folder)
    shutil.copy(OIDC / "provider.js", folder)
    return folder


@pytest.fixture(scope="session")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bus]:
    running = Bus(tmp_path_factory.mktemp("bus"))
    await running.start()
    await running.set_up()
    yield running
    await running.stop()


@pytest.fixture(scope="session")
async def provider(oidc_provider: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    """Its access tokens are JWTs for the services, and outlive every session."""
    portal = f"http://{HOST}:{free_port()}"
    made = Provider(oidc_provider, tmp_path_factory.mktemp("people"), portal, seconds=12 * HOURS)
    async with made.running():
        yield made


@pytest.fixture(scope="session")
async def serving(provider: Provider, bus: Bus, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with (
        serve_rooms(provider, tmp_path_factory.mktemp("keys")) as booking,
        serve_portal(bus, client_of(provider), port_of(provider), booking=booking) as served,
    ):
        yield served


@pytest.fixture
def portal(serving: Served) -> Served:
    serving.shift = 0.0
    serving.posted.clear()
    return serving


@pytest.fixture
def browser(portal: Served) -> Browser:
    return Browser(portal.url)


def port_of(provider: Provider) -> int:
    return int(provider.portal.rpartition(":")[2])
