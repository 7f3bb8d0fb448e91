"""Only a token that our issuer made, for us, now, proves anything."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from services.identity import InvalidTokenError, KeySource, Principal, Verifier, to_principal

ISSUER = "https://issuer.example.org"
KEY = ECKey.generate_key("P-256", {"kid": "one"})


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    publish(path, KEY)
    return path


def publish(path: Path, *keys: ECKey) -> None:
    path.write_text(json.dumps(KeySet(list(keys)).as_dict(private=False)))


@pytest.fixture
def verifier(jwks: Path) -> Verifier:
    return Verifier(ISSUER, "yunhui", KeySource(str(jwks)))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": ISSUER, "aud": "yunhui", "sub": "booker", "iat": now, "exp": now + 600, "roles": ["booker"]}
    return {name: value for name, value in (base | changes).items() if value is not None}


def token(key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode({"alg": "ES256", "kid": "one", **(header or {})}, claims(**changes), key)


def test_a_good_token_proves_the_principal(verifier: Verifier) -> None:
    proved = verifier.verify(token(name="Booker", email="b@example.org", locale="en-GB", department="physics"))
    assert proved == Principal("booker", frozenset({"booker"}), "Booker", "b@example.org", "en", "physics")


def bad_tokens() -> dict[str, str]:
    now = int(time.time())
    good = token()
    head, body, signature = good.split(".")
    return {
        "empty": "",
        "not a token": "abc",
        "not ascii": "令牌.令牌.令牌",
        "huge": "a" * 100_000,
        "expired": token(exp=now - 60),
        "not yet valid": token(nbf=now + 600),
        "no expiry": token(exp=None),
        "expiry is text": token(exp="never"),
        "other issuer": token(iss="https://evil.example.org"),
        "no issuer": token(iss=None),
        "other audience": token(aud="somebody"),
        "no audience": token(aud=None),
        "no subject": token(sub=None),
        "empty subject": token(sub=""),
        "subject is a number": token(sub=7),
        "other key": token(ECKey.generate_key("P-256", {"kid": "one"})),
        "unknown kid": token(ECKey.generate_key("P-256", {"kid": "two"}), {"kid": "two"}),
        "changed body": f"{head}.{body[:-2]}AA.{signature}",
        "no signature": f"{head}.{body}.",
        "alg none": "eyJhbGciOiJub25lIn0." + body + ".",
        "public key as hmac secret": jwt.encode(
            {"alg": "HS256", "kid": "one"}, claims(), OctKey.import_key(json.dumps(KEY.as_dict(private=False)))
        ),
        "rsa token under an ec kid": jwt.encode(
            {"alg": "RS256", "kid": "one"}, claims(), RSAKey.generate_key(2048, {"kid": "one"})
        ),
    }


@pytest.mark.parametrize("name", list(bad_tokens()))
def test_a_bad_token_proves_nothing(verifier: Verifier, name: str) -> None:
    for _ in range(2):  # a remembered failure must stay one
        with pytest.raises(InvalidTokenError) as caught:
            verifier.verify(bad_tokens()[name])
        assert "eyJ" not in str(caught.value)


def test_a_token_that_was_good_expires(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    good = token()
    verifier.verify(good)
    later = time.time() + 700
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(InvalidTokenError):
        verifier.verify(good)


async def test_a_new_key_is_read_when_a_token_names_it(verifier: Verifier, jwks: Path) -> None:
    new = ECKey.generate_key("P-256", {"kid": "two"})
    publish(jwks, KEY, new)
    assert (await verifier.prove(token(new, {"kid": "two"}))).account_id == "booker"


def test_keys_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    """Issuers publish keys for encryption, and keys of kinds that are still to be invented."""
    odd = [
        {"kty": "PQ", "kid": "q"},
        {"kty": "EC", "kid": "one", "crv": "P-256", "x": "!", "y": "!"},
        {**KEY.as_dict(private=False), "use": "enc"},
        {"kty": "oct", "kid": "one", "k": "c2VjcmV0"},
        "no key",
    ]
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [*odd, KEY.as_dict(private=False)]}))
    assert Verifier(ISSUER, "yunhui", KeySource(str(path))).verify(token()).account_id == "booker"
    path.write_text(json.dumps({"keys": odd}))
    with pytest.raises(ValueError, match="no key"):
        KeySource(str(path))


def test_unknown_roles_and_odd_claims_give_nothing() -> None:
    odd = to_principal({"sub": "a", "roles": ["root", 7, "booker"], "name": ["x"], "email": None, "locale": 3})
    assert odd == Principal("a", frozenset({"booker"}), "a", "", "zh-CN", "")
