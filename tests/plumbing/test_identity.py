"""Only a token that our issuer made, for us, now, proves anything."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from services.platform.serving.identity import InvalidTokenError, KeySource, Principal, Verifier

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


def test_unknown_roles_give_nothing(verifier: Verifier) -> None:
    assert verifier.verify(token(roles=["root", "booker"])).roles == {"booker"}


SURROGATE = "\ud800"
ODD_CLAIMS: dict[str, list[Any]] = {
    **{
        name: [SURROGATE, f"a{SURROGATE}b", "a\x00b", "a\r\nBcc: x", 7, True, [], {}, ["a"]]
        for name in ("name", "email")
    },
    **{name: [SURROGATE, "\x7f", 7, False, ["a"], {"a": 1}] for name in ("locale", "department", "sub", "iss")},
    "roles": ["booker", 7, {}, ["booker", 7], ["booker", SURROGATE], [["booker"]], {"booker": True}],
    "aud": [7, {}, ["yunhui", 7], ["yunhui", SURROGATE], [["yunhui"]]],
    **{
        name: [int("9" * 400), -int("9" * 400), 1e300, math.inf, -math.inf, math.nan, -1, "1", True, [1], {"a": 1}]
        for name in ("exp", "nbf", "iat")
    },
}


def raw_token(content: Any) -> str:
    """Signed by our issuer, whatever it says."""
    return jws.serialize_compact({"alg": "ES256", "kid": "one"}, json.dumps(content).encode(), KEY)


@pytest.mark.parametrize("name", ODD_CLAIMS)
def test_a_claim_that_is_not_of_its_kind_proves_nothing_and_is_named(verifier: Verifier, name: str) -> None:
    """The issuer is trusted to say who somebody is, but not to say it in words that databases and protobuf can hold."""
    for value in ODD_CLAIMS[name]:
        with pytest.raises(InvalidTokenError, match=rf"^the token's claims are not acceptable: {name} must be "):
            verifier.verify(raw_token({**claims(), name: value}))


def test_a_claim_that_is_null_is_not_there(verifier: Verifier) -> None:
    nothing = dict.fromkeys(("name", "email", "locale", "department", "roles"))
    assert verifier.verify(raw_token(claims() | nothing)) == Principal("booker", frozenset(), "booker")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NUMBERS = st.integers(-(10**500), 10**500) | st.floats() | st.integers(0, 2**40)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("iss", "sub", "aud", "roles", "name", "email", "locale", "department", "jti"), JSON),
        **dict.fromkeys(("exp", "nbf", "iat"), JSON | NUMBERS),
    },
)


@given(changes=CLAIMS | JSON)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_token_claims_it_proves_somebody_or_is_refused(verifier: Verifier, changes: Any) -> None:
    """And who is proved can be written down and sent on."""
    content = claims() | changes if isinstance(changes, dict) else changes
    try:
        proved = verifier.verify(raw_token(content))
    except InvalidTokenError as error:
        str(error).encode()
    else:
        profile = (proved.account_id, proved.display_name, proved.email, proved.locale, proved.department)
        assert all(text.isprintable() or text.encode() for text in profile)
        assert proved.seconds_left() > -math.inf
