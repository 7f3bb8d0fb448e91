"""The issuer, spoken to by OpenID Connect: authorization code, PKCE with S256, state and nonce, discovery (Authlib)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import StarletteOAuth2App
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from services.platform.serving.identity import ALGORITHMS, LEEWAY_SECONDS, Principal, check_claims, to_principal
from services.portal.sessions import Granted, RenewalRefusedError, Tokens, to_person

log = logging.getLogger(__name__)

DISCOVERY = "/.well-known/openid-configuration"
PATIENCE_SECONDS = 5.0
MOST_EXCHANGES = 32
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class IssuerAwayError(Exception):
    """The issuer does not answer."""


class SignInError(Exception):
    """What the issuer said proves nobody. The message holds no part of a token."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the portal is to the issuer. `discovery` is where its document lies, if not at the usual place below it."""

    issuer: str
    client_id: str
    client_secret: str
    audience: str
    redirect_uri: str
    scope: str = "openid profile email"
    discovery: str = ""
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """What one attempt to sign in is later recognized by."""

    state: str
    nonce: str
    code_verifier: str


class Issuer:
    """Every method raises IssuerAwayError."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._app = StarletteOAuth2App(
            None,
            client_id=client.client_id,
            client_secret=client.client_secret or None,
            server_metadata_url=client.discovery or client.issuer.rstrip("/") + DISCOVERY,
            client_kwargs={"scope": client.scope, "code_challenge_method": "S256", "timeout": PATIENCE_SECONDS},
        )
        self._exchanges = asyncio.Semaphore(MOST_EXCHANGES)
        self._loading: asyncio.Task[dict[str, Any]] | None = None

    async def challenge(self, language: str) -> tuple[str, Challenge]:
        """The address to go to, and what its answer is recognized by."""
        await self._metadata()
        made = await self._app.create_authorization_url(self._client.redirect_uri, ui_locales=language)
        return made["url"], Challenge(made["state"], made["nonce"], made["code_verifier"])

    async def redeem(self, challenge: Challenge, answer: Mapping[str, str]) -> Granted:
        """Exchanges the code of an answer whose state has been recognized. Raises SignInError."""
        metadata = await self._metadata()
        self._check_answer(answer, metadata)
        async with self._exchange():
            tokens = await self._ask_for_tokens(
                redirect_uri=self._client.redirect_uri, code=answer["code"], code_verifier=challenge.code_verifier
            )
        if not tokens.get("id_token"):
            raise SignInError("the issuer gave no id token: is the scope openid allowed?")
        said = await self._check_id_token(tokens, challenge.nonce)
        return _described(await self._granted(tokens), said)

    async def renew(self, tokens: Tokens) -> Granted | None:
        """None while the issuer is away. Raises RenewalRefusedError."""
        try:
            await self._metadata()
            fresh = await self._ask_for_tokens(grant_type="refresh_token", refresh_token=tokens.refresh_token)
            said = await self._check_id_token(fresh, None) if fresh.get("id_token") else {}
            return _described(await self._granted({"refresh_token": tokens.refresh_token, **fresh}), said)
        except IssuerAwayError:
            return None
        except SignInError as error:
            raise RenewalRefusedError(str(error)) from error

    async def farewell(self, back_to: str) -> str:
        """The address at which one signs out of the issuer too; "" when it offers none.

        Without id_token_hint, for no token leaves the server; an issuer may ask whether one means it.
        """
        endpoint = (await self._metadata()).get("end_session_endpoint")
        if not isinstance(endpoint, str) or not self._is_safe(endpoint):
            return ""
        query = urlencode({"client_id": self._client.client_id, "post_logout_redirect_uri": back_to})
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    @asynccontextmanager
    async def _exchange(self) -> AsyncIterator[None]:
        """Strangers can have codes exchanged that they made up: so many at once, and the others wait a moment."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._exchanges.acquire()
        except TimeoutError:
            raise IssuerAwayError("too many sign-ins at once") from None
        try:
            yield
        finally:
            self._exchanges.release()

    async def _load(self) -> dict[str, Any]:
        """Asked once at a time, for all who wait: they must not become a flood for an issuer that is away."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._app.load_server_metadata())
        return await asyncio.shield(self._loading)

    async def _metadata(self) -> dict[str, Any]:
        """The issuer's document, read once, and only believed when it is this issuer's own."""
        try:
            metadata = await self._load()
        except (httpx2.HTTPError, ValueError, TypeError) as error:
            raise IssuerAwayError(type(error).__name__) from error
        if metadata.get("issuer") != self._client.issuer or not all(
            isinstance(metadata.get(name), str) and self._is_safe(metadata[name]) for name in ENDPOINTS
        ):
            log.error("the discovery document is not one of %s: issuer %r", self._client.issuer, metadata.get("issuer"))
            metadata.clear()
            raise IssuerAwayError("its discovery document is not its own")
        self._settle_methods(metadata)
        return metadata

    def _is_safe(self, url: str) -> bool:
        return urlsplit(url).scheme in ({"https", "http"} if self._client.allow_http else {"https"})

    def _settle_methods(self, metadata: dict[str, Any]) -> None:
        """Whatever the document offers, only asymmetric signatures; the secret in a header where it may be."""
        metadata["id_token_signing_alg_values_supported"] = ALGORITHMS
        offered = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._client.client_secret and "client_secret_basic" not in offered:
            self._app.client_kwargs["token_endpoint_auth_method"] = "client_secret_post"  # noqa: S105 - a method

    def _check_answer(self, answer: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
        """RFC 9207: an answer of another issuer is not mistaken for this one's."""
        promised = metadata.get("authorization_response_iss_parameter_supported")
        if answer.get("iss", None if promised else self._client.issuer) != self._client.issuer:
            raise SignInError("the answer is another issuer's")
        if "error" in answer:
            raise SignInError(f"the issuer said {answer['error'][:64]!r}")
        if not answer.get("code"):
            raise SignInError("the answer has no code")

    async def _ask_for_tokens(self, **parameters: str) -> dict[str, Any]:
        try:
            tokens: dict[str, Any] = await self._app.fetch_access_token(**parameters)
        except (httpx2.HTTPError, ValueError) as error:
            raise IssuerAwayError(type(error).__name__) from error
        except AuthlibBaseError as error:
            raise SignInError(f"the issuer gave no tokens: {error.error}") from error
        return tokens

    async def _check_id_token(self, tokens: dict[str, Any], nonce: str | None) -> Mapping[str, Any]:
        """Its claims."""
        try:
            issuer = {"iss": {"essential": True, "values": [self._client.issuer]}}
            said = await self._app.parse_id_token(tokens, nonce, claims_options=issuer, leeway=LEEWAY_SECONDS)
            return said or {}
        except httpx2.HTTPError as error:
            raise IssuerAwayError(type(error).__name__) from error
        except (JoseError, AuthlibBaseError, ValueError, TypeError) as error:
            raise SignInError(f"the id token is not acceptable: {type(error).__name__}: {error}") from error

    async def _granted(self, tokens: Mapping[str, Any]) -> Granted:
        """The access token where the services accept it, else the id token: that is what they are shown."""
        for name in ("access_token", "id_token"):
            principal = await self._proves(str(tokens.get(name) or ""))
            if principal:
                token, refresh = str(tokens[name]), str(tokens.get("refresh_token") or "")
                return Granted(to_person(principal, token), Tokens(principal.expire_time, refresh))
        raise SignInError(f"no token is meant for {self._client.audience!r}: check YUNHUI_AUDIENCE and the issuer")

    async def _proves(self, token: str) -> Principal | None:
        """Whom the services would take this token for."""
        registry = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self._client.issuer},
            aud={"essential": True, "value": self._client.audience},
            sub={"essential": True},
            exp={"essential": True},
            leeway=LEEWAY_SECONDS,
        )
        try:
            claims = await self._decode(token)
            registry.validate(claims)
            return to_principal(claims)
        except (JoseError, ValueError, TypeError, KeyError):
            return None

    async def _decode(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, await self._keys(), algorithms=ALGORITHMS).claims
        except InvalidKeyIdError:
            return jwt.decode(token, await self._keys(force=True), algorithms=ALGORITHMS).claims

    async def _keys(self, *, force: bool = False) -> KeySet:
        try:
            return KeySet.import_key_set(await self._app.fetch_jwk_set(force=force))
        except httpx2.HTTPError as error:
            raise IssuerAwayError(type(error).__name__) from error


def _described(granted: Granted, said: Mapping[str, Any]) -> Granted:
    """With what the id token says of the person, where the access token names no address."""
    person = granted.person
    if person.email or said.get("sub") != person.account_id:
        return granted
    try:
        check_claims({**said})
        known = to_principal({**said})
    except (ValueError, KeyError):
        return granted
    name = known.display_name if person.display_name == person.account_id else person.display_name
    described = replace(person, display_name=name, email=known.email, email_verified=known.email_verified)
    return replace(granted, person=described)
