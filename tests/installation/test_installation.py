"""The pieces of `up` that need no process: secrets, keys, clock, ports, the count of deaths."""

import json
import socket
import stat
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.installation import development_clock, issuer, ports
from services.installation.development_clock import BackwardsError
from services.installation.issuer import SampleAccount
from services.installation.programs import DEFAULT_PORTS, Plan, base_environment
from services.installation.registry import BUS_USERS
from services.installation.state import AlreadyRunningError, State, write_private
from services.installation.supervisor import recent, too_often
from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.serving.identity import KeySource, Verifier


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    made.prepare()
    issuer.prepare_keys(made)
    return made


def test_the_second_start_keeps_secrets_and_keys(state: State) -> None:
    """Else a token of the first run would be worthless in the second."""
    before = (state.secrets.read_text(), state.private_key.read_text(), state.public_keys.read_text())
    state.prepare()
    issuer.prepare_keys(state)
    assert before == (state.secrets.read_text(), state.private_key.read_text(), state.public_keys.read_text())


def test_secrets_that_came_with_a_newer_version_are_added(state: State) -> None:
    """To a directory of an older one, whose passwords stay."""
    known = json.loads(state.secrets.read_text())
    write_private(state.secrets, {name: word for name, word in known.items() if name != "meetings"})
    state.prepare()
    after = json.loads(state.secrets.read_text())
    assert after.keys() == known.keys()
    assert {name for name in known if after[name] != known[name]} == {"meetings"}


def test_only_the_owner_reads_secrets(state: State) -> None:
    """Files 0600 in a directory 0700; the public keys hold no private part."""
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (state.secrets, state.private_key)} == {0o600}
    assert '"d"' not in state.public_keys.read_text()


def test_passwords_begin_with_a_letter(state: State) -> None:
    """The bus would read some others as numbers."""
    assert state.password("booking")[0].isalpha()


def test_a_minted_token_is_believed_by_the_services(state: State) -> None:
    """With the account, role and language it was minted for."""
    verifier = Verifier(DEVELOPMENT_ISSUER, "yunhui", KeySource(str(state.public_keys)))
    principal = verifier.verify(issuer.mint(state, SampleAccount("booker-2", "booker", "en")))
    assert (principal.account_id, principal.roles, principal.locale) == ("booker-2", frozenset({"booker"}), "en")
    assert principal.email == "booker-2@example.org"


def test_a_state_directory_serves_one_at_a_time(state: State) -> None:
    """And is free again afterwards."""
    with state.lock(), pytest.raises(AlreadyRunningError):
        state.lock()
    state.lock().close()


def test_the_clock_starts_anywhere_but_never_goes_back(state: State) -> None:
    """Before there is data every moment is fine; after that only later ones."""
    monday, tuesday = (datetime(2025, 7, day, 8, tzinfo=UTC) for day in (7, 8))
    development_clock.start_at(state, tuesday)
    development_clock.start_at(state, monday)
    state.database("booking").touch()
    with pytest.raises(BackwardsError):
        development_clock.start_at(state, datetime(2025, 7, 6, 8, tzinfo=UTC))
    development_clock.start_at(state, tuesday)
    assert development_clock.now(state) >= tuesday


def test_free_ports_are_all_different() -> None:
    """One for each program."""
    chosen = ports.choose(auto=True)
    assert set(chosen) == set(DEFAULT_PORTS)
    assert len(set(chosen.values())) == len(chosen)


def test_a_port_that_is_in_use_or_was_just_given_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when nothing listens on it yet: two installations that start at once do not meet."""
    with socket.socket() as listener, socket.socket() as free:
        for each in (listener, free):
            each.bind(("127.0.0.1", 0))
        listener.listen()
        taken, given, left = listener.getsockname()[1], ports.free_port(), free.getsockname()[1]
        free.close()
        monkeypatch.setattr(ports, "FREE_PORTS", [*[taken, given] * 50, left])
        assert ports.free_port() == left


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the program that wanted it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        monkeypatch.setattr(ports, "DEFAULT_PORTS", {"booking": taken})
        with pytest.raises(ports.PortTakenError) as caught:
            ports.choose(auto=False)
    assert (caught.value.program, caught.value.port) == ("booking", taken)


def test_no_program_gets_anothers_password(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor anything of ours that the caller's environment holds."""
    monkeypatch.setenv("YUNHUI_TOKEN", "secret")
    assert "YUNHUI_TOKEN" not in base_environment()
    plan = Plan(state, DEFAULT_PORTS)
    for program in plan.services() + plan.pages():
        others = {state.password(user) for user in BUS_USERS if user != program.name}
        assert others.isdisjoint(program.environment.values())


def test_five_deaths_within_a_minute_are_too_many() -> None:
    """Four are not, nor five that are further apart."""
    assert too_often(deque([0.0, 1, 2, 3, 60], maxlen=5))
    assert not too_often(deque([0.0, 1, 2, 3], maxlen=5))
    assert not too_often(deque([0.0, 1, 2, 3, 61], maxlen=5))
    assert recent(deque([0.0, 50, 100])) == 2
