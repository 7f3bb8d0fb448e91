"""The development issuer: its keys in the state directory, and the tokens that `login` mints with them."""

import time
from dataclasses import dataclass

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from services.installation.state import State, read_json, write_private
from services.platform.local import DEVELOPMENT_ISSUER

AUDIENCE = "yunhui"
TOKEN_SECONDS = 12 * 3600
ROLES = ("booker", "support", "admin", "service")


@dataclass(frozen=True, slots=True)
class SampleAccount:
    """Somebody to try things with. The mail domain is reserved for examples (RFC 2606)."""

    account_id: str
    role: str
    locale: str = "zh-CN"
    department: str = "sample"

    @property
    def email(self) -> str:
        return f"{self.account_id}@example.org"


def prepare_keys(state: State) -> None:
    """Makes the key pair at the first start; the public half is derived again at each, so the two cannot part."""
    if not state.private_key.exists():
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        write_private(state.private_key, key.as_dict(private=True))
    public = KeySet([_private_key(state)]).as_dict(private=False)
    write_private(state.public_keys, dict(public))


def mint(state: State, account: SampleAccount) -> str:
    """A token for 12 hours of real time: the development clock does not move the lives of tokens.

    Raises FileNotFoundError where there is no development issuer.
    """
    key = _private_key(state)
    now = int(time.time())
    claims = {
        "iss": DEVELOPMENT_ISSUER,
        "aud": AUDIENCE,
        "sub": account.account_id,
        "name": account.account_id,
        "email": account.email,
        "email_verified": True,
        "department": account.department,
        "roles": [account.role],
        "locale": account.locale,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
    }
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)


def _private_key(state: State) -> ECKey:
    if not state.private_key.exists():
        raise FileNotFoundError(state.private_key)
    return ECKey.import_key(read_json(state.private_key))
