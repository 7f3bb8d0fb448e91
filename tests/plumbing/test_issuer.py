"""The keys of a real issuer: found by discovery, rotated, withdrawn, and never those of somebody else."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from services.platform.serving import identity
from services.platform.serving.identity import InvalidTokenError, KeySource, Verifier, create_verifier
from services.platform.settings import ServerSettings
from tests.plumbing.issuer import CONFIGURATION, Issuer, serve


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(identity, "PAUSE_SECONDS", 0.2)
    with serve(trustme.CA(), tmp_path) as running:
        yield running


def discovered(issuer: Issuer) -> Verifier:
    return Verifier(issuer.address, "yunhui", KeySource("", issuer.address))


async def test_keys_are_found_by_discovery(issuer: Issuer) -> None:
    assert (await discovered(issuer).prove(issuer.token())).account_id == "booker"
    assert issuer.asked == [CONFIGURATION, "/keys"]


async def test_an_address_of_keys_is_used_as_it_is(issuer: Issuer) -> None:
    verifier = Verifier(issuer.address, "yunhui", KeySource(f"{issuer.address}/keys"))
    assert (await verifier.prove(issuer.token())).account_id == "booker"
    assert issuer.asked == ["/keys"]


async def test_the_first_call_after_a_rotation_succeeds_and_the_old_key_is_dead(issuer: Issuer) -> None:
    verifier, old = discovered(issuer), issuer.token()
    await verifier.prove(old)
    issuer.rotate()
    calls = [verifier.prove(issuer.token(sub=f"booker-{number}")) for number in range(20)]
    assert {each.account_id for each in await asyncio.gather(*calls)} == {f"booker-{number}" for number in range(20)}
    assert issuer.asked.count("/keys") == 2  # at start, and once for all twenty
    with pytest.raises(InvalidTokenError):
        await verifier.prove(old)


async def test_a_strangers_unknown_keys_hold_up_nobody_and_hardly_trouble_the_issuer(issuer: Issuer) -> None:
    verifier = discovered(issuer)
    stranger = [issuer.token(ECKey.generate_key("P-256", auto_kid=True)) for _ in range(3 * identity.MOST_WAITERS)]
    issuer.delay = 0.3
    strangers = [asyncio.create_task(verifier.prove(each)) for each in stranger]
    await asyncio.sleep(0)
    assert (await verifier.prove(issuer.token())).account_id == "booker"
    assert not all(each.done() for each in strangers)  # the known key did not wait for their sake
    answers = await asyncio.gather(*strangers, return_exceptions=True)
    assert all(isinstance(each, InvalidTokenError) for each in answers)
    assert issuer.asked.count("/keys") == 2


async def test_the_issuer_is_asked_at_most_once_in_a_pause(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "PAUSE_SECONDS", 60.0)
    monkeypatch.setattr(identity, "PATIENCE_SECONDS", 0.1)
    verifier = discovered(issuer)
    for _ in range(5):
        with pytest.raises(InvalidTokenError):
            await verifier.prove(issuer.token(ECKey.generate_key("P-256", auto_kid=True)))
    assert issuer.asked.count("/keys") == 2


async def test_a_key_that_was_looked_for_in_vain_is_not_waited_for_again(issuer: Issuer) -> None:
    verifier, unknown = discovered(issuer), issuer.token(ECKey.generate_key("P-256", auto_kid=True))
    for _ in range(50):
        with pytest.raises(InvalidTokenError):
            await verifier.prove(unknown)
    assert issuer.asked.count("/keys") == 2


async def test_a_known_key_that_is_misused_is_not_looked_for(issuer: Issuer) -> None:
    verifier = discovered(issuer)
    secret = OctKey.import_key(json.dumps(issuer.key.as_dict(private=False)))
    token = jwt.encode({"alg": "HS256", "kid": issuer.key.kid}, {"iss": issuer.address}, secret)
    with pytest.raises(InvalidTokenError):
        await verifier.prove(token)
    assert issuer.asked.count("/keys") == 1


async def test_a_withdrawn_key_stops_working_by_age(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, old = discovered(issuer), issuer.token()
    await verifier.prove(old)
    issuer.rotate()
    assert (await verifier.prove(old)).account_id == "booker"  # not looked at again yet
    monkeypatch.setattr(identity, "AGE_SECONDS", 0.0)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            await verifier.prove(old)
        except InvalidTokenError:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the withdrawn key works for ever")


async def test_while_the_issuer_is_away_the_known_keys_stay(issuer: Issuer) -> None:
    verifier, good = discovered(issuer), issuer.token()
    issuer.pages.clear()
    with pytest.raises(InvalidTokenError):
        await verifier.prove(issuer.token(ECKey.generate_key("P-256", auto_kid=True)))
    assert (await verifier.prove(good)).account_id == "booker"


async def test_discovery_that_leads_elsewhere_is_refused(issuer: Issuer) -> None:
    right = dict(issuer.pages[CONFIGURATION])
    for page, words in (
        (right | {"issuer": "https://evil.example.org"}, "another issuer"),
        (right | {"issuer": issuer.address + "/"}, "another issuer"),
        (right | {"jwks_uri": issuer.address.replace("https", "http") + "/keys"}, "no https address"),
        (right | {"jwks_uri": None}, "no https address"),
        ([], "not a JSON object"),
        ({"filler": "x" * identity.MOST_BYTES}, "at most"),
    ):
        issuer.pages[CONFIGURATION] = page or ["x"]
        with pytest.raises(ValueError, match=words):
            discovered(issuer)
    issuer.pages[CONFIGURATION] = "http://127.0.0.1:9/"  # a redirect
    with pytest.raises(OSError, match="302"):
        discovered(issuer)


async def test_an_issuer_with_a_foreign_certificate_is_no_issuer(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    settings = ServerSettings(environment="development", issuer=issuer.address)
    with pytest.raises(SystemExit, match="CERTIFICATE_VERIFY_FAILED"):
        create_verifier(settings)
