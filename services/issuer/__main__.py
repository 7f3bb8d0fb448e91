"""The program issuer, for development: it signs anybody in and refuses to run in production."""

import json
from pathlib import Path
from typing import Self

from joserfc.jwk import ECKey
from pydantic import Field, model_validator

from services.issuer.app import DevelopmentIssuer, Identity
from services.platform import process
from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.serving.web import Pages
from services.platform.settings import Settings


class IssuerSettings(Settings):
    """Settings of the development issuer."""

    listen: str = Field("127.0.0.1:7110", description="host:port")
    portal_url: str = Field(description="the portal, the only client")
    audience: str = Field("yunhui", description="`aud` of access tokens")
    signing_key: Path = Field(description="file with the private key, a JWK")

    @model_validator(mode="after")
    def refuse_production(self) -> Self:
        if self.environment == "production":
            raise ValueError("the development issuer signs anybody in and is refused in production")
        return self


async def main(settings: IssuerSettings) -> None:
    key = ECKey.import_key(json.loads(settings.signing_key.read_text()))
    address = f"http://{settings.listen}"
    identity = Identity(DEVELOPMENT_ISSUER, address, settings.audience, key, settings.portal_url)
    await process.run_until_stopped(Pages(DevelopmentIssuer(identity).app(), settings.listen))


if __name__ == "__main__":
    process.run("issuer", IssuerSettings, main)
