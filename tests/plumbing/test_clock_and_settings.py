"""Time moves for every program at once, only forward, and never in production."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.clock import DevelopmentClock, SystemClock, create, from_timestamp, to_timestamp
from services.settings import DEVELOPMENT_ISSUER, ServerSettings, Settings, load


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


@given(st.integers(min_value=-(10**14), max_value=10**14))
def test_timestamps_lose_nothing(moment: int) -> None:
    assert from_timestamp(to_timestamp(moment)) == moment


def test_production_refuses_what_is_for_development(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="YUNHUI_CLOCK_FILE"):
        Settings(environment="production", clock_file=tmp_path / "clock.json")
    with pytest.raises(ValidationError, match="YUNHUI_ISSUER"):
        ServerSettings(environment="production", issuer=DEVELOPMENT_ISSUER, jwks="https://id.example.org/jwks")
    with pytest.raises(ValidationError, match="YUNHUI_JWKS"):
        ServerSettings(issuer="https://id.example.org", jwks="http://id.example.org/jwks")
    assert Settings().environment == "production"  # whoever forgets to say gets the strict one


def test_a_missing_setting_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YUNHUI_ISSUER", raising=False)
    with pytest.raises(SystemExit) as caught:
        load(ServerSettings)
    assert caught.value.code == 2
    assert "YUNHUI_ISSUER" in capsys.readouterr().err
