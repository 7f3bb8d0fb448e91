"""What every program is told by its environment: YUNHUI_* variables, checked before anything starts."""

import sys
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEVELOPMENT_ISSUER = "https://issuer.yunhui.invalid"  # .invalid can never be a real host (RFC 2606)


class Settings(BaseSettings):
    """Settings of every program. Each program adds its own in its __main__."""

    model_config = SettingsConfigDict(env_prefix="YUNHUI_", extra="ignore", hide_input_in_errors=True)

    environment: Literal["development", "production"] = Field(
        "production", description="development allows the development clock, issuer and reflection"
    )
    nats_url: str = Field("nats://127.0.0.1:4222", description="where the bus is")
    nats_user: str = Field("", description="this program's own NATS user")
    nats_password: SecretStr = Field(SecretStr(""), description="its password")
    clock_file: Path | None = Field(None, description="development only: file that shifts the time")

    @model_validator(mode="after")
    def refuse_development_clock(self) -> Self:
        if self.environment == "production" and self.clock_file:
            raise ValueError("clock_file moves time and is refused in production: unset YUNHUI_CLOCK_FILE")
        return self


class ServerSettings(Settings):
    """Settings of a program that answers gRPC."""

    listen: str = Field("127.0.0.1:0", description="host:port for gRPC")
    issuer: str = Field(description="`iss` that tokens must carry")
    audience: str = Field("yunhui", description="`aud` that tokens must carry")
    jwks: str = Field(description="the issuer's public keys: an https address, or a file")

    @model_validator(mode="after")
    def refuse_development_issuer(self) -> Self:
        if self.environment == "production" and self.issuer == DEVELOPMENT_ISSUER:
            raise ValueError("the development issuer is refused in production: set YUNHUI_ISSUER")
        if self.jwks.startswith("http:"):
            raise ValueError("keys fetched without TLS prove nothing: YUNHUI_JWKS must be https or a file")
        return self


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
