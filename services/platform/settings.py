"""What every program is told by its environment: YUNHUI_* variables, checked before anything starts."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.platform.local import DEVELOPMENT_ISSUER, is_loopback, is_loopback_address

TOKEN_ROLES = frozenset({"booker", "support", "admin", "service"})
SHORTEST_PASSWORD, FEWEST_CHARACTERS = 16, 8


class Settings(BaseSettings):
    """Settings of every program. Each program adds its own in its __main__."""

    model_config = SettingsConfigDict(env_prefix="YUNHUI_", extra="ignore", hide_input_in_errors=True)

    environment: Literal["development", "production"] = Field(
        "production", description="development allows the development clock, issuer and reflection"
    )
    nats_url: str = Field("nats://127.0.0.1:4222", description="where the bus is")
    nats_user: str = Field("", description="this program's own NATS user")
    nats_password: SecretStr = Field(SecretStr(""), description="its password")
    nats_ca: FilePath | None = Field(None, description="authorities of the bus, PEM; with it TLS is insisted on")
    nats_certificate: FilePath | None = Field(None, description="this program's certificate for the bus, PEM")
    nats_key: FilePath | None = Field(None, description="the certificate's private key, PEM")
    log_format: Literal["json", "console"] | None = Field(
        None, description="how log lines look; json in production, console in development when not given"
    )
    log_key: SecretStr = Field(
        SecretStr(""), description="makes pseudonyms of accounts in logs the same in all programs; random when empty"
    )
    metrics_listen: str = Field("", description="host:port of the Prometheus page; none when empty")
    clock_file: Path | None = Field(None, description="development only: file that shifts the time")

    @field_validator("metrics_listen")
    @classmethod
    def check_metrics_listen(cls, listen: str) -> str:
        if listen and not listen.rpartition(":")[2].isdigit():
            raise ValueError("must be host:port, for example 127.0.0.1:9101, or empty for none")
        return listen

    @model_validator(mode="after")
    def check_bus_certificate(self) -> Self:
        if bool(self.nats_certificate) != bool(self.nats_key):
            raise ValueError("YUNHUI_NATS_CERTIFICATE and YUNHUI_NATS_KEY belong together")
        if self.nats_certificate and not self.nats_ca:
            raise ValueError("a certificate for the bus needs TLS: set YUNHUI_NATS_CA")
        return self

    @model_validator(mode="after")
    def refuse_development_clock(self) -> Self:
        if self.environment == "production" and self.clock_file:
            raise ValueError("clock_file moves time and is refused in production: unset YUNHUI_CLOCK_FILE")
        return self


class TokenSettings(Settings):
    """Settings of a program that looks at what callers may do."""

    token_roles: str = Field(
        "booker support admin service",
        description="roles that count when a token claims them; others are given in the directory alone",
    )

    @field_validator("token_roles")
    @classmethod
    def check_token_roles(cls, roles: str) -> str:
        if unknown := set(roles.split()) - TOKEN_ROLES:
            raise ValueError(f"may name {', '.join(sorted(TOKEN_ROLES))}, not {', '.join(sorted(unknown))}")
        return roles


class ServerSettings(TokenSettings):
    """Settings of a program that answers gRPC."""

    listen: str = Field("127.0.0.1:0", description="host:port for gRPC")
    issuer: str = Field(description="`iss` that tokens must carry")
    audience: str = Field("yunhui", description="`aud` that tokens must carry")
    jwks: str = Field("", description="the issuer's public keys: https address or file; if empty, by discovery")
    tls_certificate: FilePath | None = Field(None, description="certificate chain for gRPC, PEM")
    tls_key: FilePath | None = Field(None, description="the certificate's private key, PEM")
    tls_client_ca: FilePath | None = Field(None, description="PEM; callers need a certificate of these authorities")
    plaintext: Literal["", "private-network"] = Field(
        "", description="private-network states that TLS ends in front of the programs, and nobody listens between them"
    )
    calls_a_minute: int = Field(
        600,
        description="by one account, programs excepted; a message counts one more for each 4 KiB; 0: no limit",
        ge=0,
        le=1_000_000,
    )

    @model_validator(mode="after")
    def check_certificate(self) -> Self:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("YUNHUI_TLS_CERTIFICATE and YUNHUI_TLS_KEY belong together")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError("certificates of callers need TLS: set YUNHUI_TLS_CERTIFICATE and YUNHUI_TLS_KEY")
        return self

    @model_validator(mode="after")
    def refuse_what_is_unsafe(self) -> Self:
        if self.environment == "production":
            for reason in unsafe(self):
                raise ValueError(reason)
        return self

    @model_validator(mode="after")
    def refuse_development_issuer(self) -> Self:
        if self.environment == "production" and self.issuer == DEVELOPMENT_ISSUER:
            raise ValueError("the development issuer is refused in production: set YUNHUI_ISSUER")
        if self.jwks.startswith("http:"):
            raise ValueError("keys that come without TLS cannot be trusted: YUNHUI_JWKS must be https or a file")
        if not self.jwks and not self.issuer.startswith("https:"):
            raise ValueError("keys are discovered over https only: set YUNHUI_JWKS, or an https YUNHUI_ISSUER")
        return self


def unsafe(settings: ServerSettings) -> Iterator[str]:
    """What production refuses, with the way out."""
    password = settings.nats_password.get_secret_value()
    if not settings.nats_user:
        yield "this program needs a user of its own on the bus: set YUNHUI_NATS_USER"
    if len(password) < SHORTEST_PASSWORD or len(set(password)) < FEWEST_CHARACTERS:
        yield f"too easy to guess: YUNHUI_NATS_PASSWORD must be {SHORTEST_PASSWORD} or more random characters"
    if not settings.issuer.startswith("https://"):
        yield "an issuer without TLS cannot be trusted: YUNHUI_ISSUER must be an https address"
    if not settings.calls_a_minute:
        yield "one account could use up everything: YUNHUI_CALLS_A_MINUTE must not be 0"
    if settings.plaintext:
        return
    way_out = "or, where a proxy ends TLS and the network behind it is private, YUNHUI_PLAINTEXT=private-network"
    if not settings.tls_certificate and not is_loopback_address(settings.listen):
        yield f"tokens would travel unencrypted: set YUNHUI_TLS_CERTIFICATE and YUNHUI_TLS_KEY, {way_out}"
    if not settings.nats_ca and not is_loopback(urlsplit(settings.nats_url).hostname or ""):
        yield f"passwords would travel unencrypted: set YUNHUI_NATS_CA, {way_out}"


S = TypeVar("S", bound=Settings)


def load(kind: type[S]) -> S:
    """Reads the environment; on a fault says which variable and why, and exits with status 2."""
    try:
        return kind()
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            print(f"YUNHUI_{name}: {fault['msg']}" if name else fault["msg"], file=sys.stderr)  # noqa: T201
        sys.exit(2)
