"""What the directory is told by its environment."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from services.directory.member_requests import account_id
from services.platform.host import HostSettings
from services.platform.local import is_loopback_address
from services.platform.serving.errors import RpcError


class DirectorySettings(HostSettings):
    """Settings of the directory."""

    super_administrator: str = Field(
        "", description="account id that becomes super administrator when the organization has none"
    )
    scim_listen: str = Field("", description="host:port for identity providers, by SCIM 2.0; none when empty")
    scim_address: str = Field(
        "",
        description="where they find it, such as https://directory.example.org/v2; what they asked for when empty",
    )
    scim_account_id: Literal["externalId", "userName"] = Field(
        "externalId", description="what of a new user is the subject of the person's tokens"
    )

    @property
    def provisioning_address(self) -> str:
        """For identity providers; "" while there is no door."""
        return self.scim_listen and (self.scim_address or f"http://{self.scim_listen}/v2")

    @field_validator("super_administrator")
    @classmethod
    def check_super_administrator(cls, given: str) -> str:
        try:
            return account_id("super_administrator", given) if given else ""
        except RpcError as error:
            raise ValueError(str(error)) from error

    @field_validator("scim_listen")
    @classmethod
    def check_scim_listen(cls, listen: str) -> str:
        if listen and not listen.rpartition(":")[2].isdigit():
            raise ValueError("must be host:port, or empty for none")
        return listen

    @model_validator(mode="after")
    def refuse_open_tokens(self) -> Self:
        open_to_others = self.scim_listen and not is_loopback_address(self.scim_listen)
        if self.environment == "production" and open_to_others and not self.plaintext:
            raise ValueError(
                "tokens would travel unencrypted: YUNHUI_SCIM_LISTEN must be on this machine, or, where a proxy ends"
                " TLS and the network behind it is private, set YUNHUI_PLAINTEXT=private-network"
            )
        return self
