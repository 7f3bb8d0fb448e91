"""Time moves for every program at once, only forward, and never in production."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.platform.clock import (
    HOUR,
    DevelopmentClock,
    SystemClock,
    create,
    from_timestamp,
    to_timestamp,
    wait_until,
)
from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.settings import ServerSettings, Settings, load
from tests.patience import PATIENCE_SECONDS


def test_a_shift_moves_every_program_that_reads_the_file(tmp_path: Path) -> None:
    one, other = (DevelopmentClock(tmp_path / "clock.json") for _ in range(2))
    before = other.now()
    one.shift(45 * 60_000)
    one.shift(15 * 60_000)
    assert 0 <= other.now() - before - 60 * 60_000 < 60_000


def test_time_does_not_go_back(tmp_path: Path) -> None:
    clock = DevelopmentClock(tmp_path / "clock.json")
    with pytest.raises(ValueError, match="forward"):
        clock.shift(-1)


def test_without_a_file_it_is_the_real_time(tmp_path: Path) -> None:
    for clock in (create(None), create(tmp_path / "clock.json")):
        assert abs(clock.now() - time.time() * 1000) < 60_000
    assert isinstance(create(None), SystemClock)


async def test_who_waits_notices_that_time_was_moved(tmp_path: Path) -> None:
    """Not before it is moved far enough, and also after the file could not be read."""
    clock, other = (DevelopmentClock(tmp_path / "clock.json") for _ in range(2))
    async with asyncio.timeout(PATIENCE_SECONDS):
        waiting = asyncio.create_task(wait_until(clock.now() + 2 * HOUR, asyncio.Event(), clock))
        other.shift(HOUR)
        assert not (await asyncio.wait([waiting], timeout=3 * clock.patience))[0]
        good = (tmp_path / "clock.json").read_text()
        (tmp_path / "clock.json").write_text("{")
        assert not (await asyncio.wait([waiting], timeout=3 * clock.patience))[0]
        (tmp_path / "clock.json").write_text(good)
        other.shift(HOUR)
        assert await waiting is False


async def test_who_waits_is_woken_or_finds_the_time_over() -> None:
    clock, woken = SystemClock(), asyncio.Event()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await wait_until(clock.now() - 1, woken, clock) is False
        assert await wait_until(clock.now() + 20, woken, clock) is False
        for due in (None, clock.now() + HOUR):
            waiting = asyncio.create_task(wait_until(due, woken, clock))
            await asyncio.sleep(0)
            woken.set()
            assert await waiting is True
            woken.clear()


@given(st.integers(min_value=-(10**14), max_value=10**14))
def test_timestamps_lose_nothing(moment: int) -> None:
    assert from_timestamp(to_timestamp(moment)) == moment


def test_production_refuses_what_is_for_development(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="YUNHUI_CLOCK_FILE"):
        Settings(environment="production", clock_file=tmp_path / "clock.json")
    with pytest.raises(ValidationError, match="YUNHUI_ISSUER"):
        ServerSettings(**SAFE | {"issuer": DEVELOPMENT_ISSUER})
    with pytest.raises(ValidationError, match="YUNHUI_JWKS"):
        ServerSettings(**SAFE | {"jwks": "http://id.example.org/jwks"})
    assert Settings().environment == "production"  # whoever forgets to say gets the strict one


SAFE: dict[str, Any] = {
    "environment": "production",
    "issuer": "https://id.example.org",
    "nats_user": "booking",
    "nats_password": "k2Vw9QxLr7TnB4ZmH8sD",
}


def test_what_is_safe_is_taken_in_production() -> None:
    ServerSettings(**SAFE)
    ServerSettings(**SAFE | {"listen": "[::1]:7101", "nats_url": "nats://localhost:4222"})
    ServerSettings(**SAFE | {"listen": "0.0.0.0:7101", "nats_url": "nats://nats:4222", "plaintext": "private-network"})
    files = {"tls_certificate": __file__, "tls_key": __file__, "tls_client_ca": __file__, "nats_ca": __file__}
    ServerSettings(**SAFE | files | {"listen": "0.0.0.0:7101", "nats_url": "nats://nats:4222"})


@pytest.mark.parametrize(
    ("given", "way_out"),
    [
        ({"nats_user": ""}, "YUNHUI_NATS_USER"),
        ({"nats_password": ""}, "YUNHUI_NATS_PASSWORD"),
        ({"nats_password": "k2Vw9QxLr7TnB4Z"}, "YUNHUI_NATS_PASSWORD"),
        ({"nats_password": "booking-booking"}, "YUNHUI_NATS_PASSWORD"),
        ({"nats_password": "passwordpassword"[:7] * 4}, "YUNHUI_NATS_PASSWORD"),
        ({"issuer": "http://id.example.org", "jwks": "keys.json"}, "YUNHUI_ISSUER"),
        ({"issuer": "id.example.org", "jwks": "keys.json"}, "YUNHUI_ISSUER"),
        ({"calls_a_minute": 0}, "YUNHUI_CALLS_A_MINUTE"),
        ({"listen": "0.0.0.0:7101"}, "YUNHUI_TLS_CERTIFICATE"),
        ({"listen": "[::]:7101"}, "YUNHUI_PLAINTEXT"),
        ({"listen": "booking.example.org:7101"}, "YUNHUI_TLS_CERTIFICATE"),
        ({"nats_url": "nats://nats:4222"}, "YUNHUI_NATS_CA"),
        ({"nats_url": "tls://nats:4222"}, "YUNHUI_NATS_CA"),
        ({"clock_file": "clock.json"}, "YUNHUI_CLOCK_FILE"),
    ],
)
def test_what_is_unsafe_is_refused_in_production_and_only_there(given: dict[str, Any], way_out: str) -> None:
    with pytest.raises(ValidationError, match=way_out) as caught:
        ServerSettings(**SAFE | given)
    assert SAFE["nats_password"] not in str(caught.value)
    ServerSettings(**SAFE | {"environment": "development"} | given)


@pytest.mark.parametrize(
    ("given", "way_out"),
    [
        ({"tls_certificate": __file__}, "YUNHUI_TLS_KEY"),
        ({"tls_key": __file__}, "YUNHUI_TLS_CERTIFICATE"),
        ({"tls_client_ca": __file__}, "YUNHUI_TLS_CERTIFICATE"),
        ({"tls_certificate": "/nowhere.pem", "tls_key": __file__}, "file"),
        ({"nats_certificate": __file__, "nats_ca": __file__}, "YUNHUI_NATS_KEY"),
        ({"nats_certificate": __file__, "nats_key": __file__}, "YUNHUI_NATS_CA"),
        ({"issuer": "http://id.example.org"}, "YUNHUI_ISSUER"),
        ({"jwks": "http://id.example.org/keys"}, "YUNHUI_JWKS"),
    ],
)
def test_what_cannot_work_is_refused_everywhere(given: dict[str, Any], way_out: str) -> None:
    for environment in ("development", "production"):
        with pytest.raises(ValidationError, match=way_out):
            ServerSettings(**SAFE | {"environment": environment} | given)


def test_a_missing_setting_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YUNHUI_ISSUER", raising=False)
    with pytest.raises(SystemExit) as caught:
        load(ServerSettings)
    assert caught.value.code == 2
    assert "YUNHUI_ISSUER" in capsys.readouterr().err
