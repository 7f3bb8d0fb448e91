"""Composition root of the development issuer. It signs anybody in and refuses to run in production."""

import asyncio
import json
from pathlib import Path
from typing import Self

from joserfc.jwk import ECKey
from pydantic import Field, model_validator

from services.issuer.app import Identity, Issuer
from services.settings import DEVELOPMENT_ISSUER, Settings, load
from services.web import serve_until_stopped


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
    await serve_until_stopped(Issuer(identity).app(), settings.listen)


if __name__ == "__main__":
    asyncio.run(main(load(IssuerSettings)))
