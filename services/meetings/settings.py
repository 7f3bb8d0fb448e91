"""What the meetings gateway is told by its environment."""

import base64
import binascii
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from services.meetings import tencent
from services.meetings.accounts import PLACEHOLDER, Accounts
from services.platform.host import HostSettings

NONE = SecretStr("")


class MeetingsSettings(HostSettings):
    """Settings of the meetings gateway."""

    meetings_provider: Literal["simulated", "tencent"] = Field(
        "simulated", description="who holds the meetings; simulated is for development only"
    )
    tencent_address: str = Field(tencent.ADDRESS, description="where Tencent Meeting's REST API is")
    tencent_app_id: str = Field("", description="AppId: the enterprise")
    tencent_sdk_id: str = Field("", description="SdkId: the application; empty if none was allotted")
    tencent_secret_id: str = Field("", description="SecretId of the application")
    tencent_secret_key: SecretStr = Field(NONE, description="SecretKey of the application")
    tencent_operator: str = Field("", description="userid of an administrator: asks who came, and ends meetings")
    tencent_userid: str = Field(PLACEHOLDER, description="which userid an account is; {account} stands for its id")
    tencent_calls_a_minute: int = Field(
        tencent.CALLS_A_MINUTE, description="share of the application's 300 for this replica", ge=10, le=300
    )
    webhook_listen: str = Field("127.0.0.1:0", description="host:port for webhooks")
    webhook_token: SecretStr = Field(NONE, description="Token of the event subscription; no webhooks when empty")
    webhook_aes_key: SecretStr = Field(NONE, description="EncodingAESKey of the event subscription, 43 characters")

    @field_validator("tencent_userid")
    @classmethod
    def check_userid(cls, pattern: str) -> str:
        return Accounts(pattern or PLACEHOLDER).pattern

    @field_validator("tencent_address")
    @classmethod
    def check_address(cls, address: str) -> str:
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("must be https (http only on this machine)")
        return address.rstrip("/")

    @field_validator("webhook_listen")
    @classmethod
    def check_listen(cls, listen: str) -> str:
        if not listen.rpartition(":")[2].isdigit():
            raise ValueError("must be host:port")
        return listen

    @field_validator("webhook_aes_key")
    @classmethod
    def check_key(cls, key: SecretStr) -> SecretStr:
        given = key.get_secret_value()
        try:
            fits = not given or len(base64.b64decode(given + "=", validate=True)) == 32
        except binascii.Error:
            fits = False
        if not fits:
            raise ValueError("must be the 43 characters that were set as EncodingAESKey")
        return key

    @model_validator(mode="after")
    def check_provider(self) -> Self:
        if self.environment == "production" and self.meetings_provider == "simulated":
            raise ValueError("simulated meetings are refused in production: set YUNHUI_MEETINGS_PROVIDER=tencent")
        if self.meetings_provider == "tencent":
            needed = ("tencent_app_id", "tencent_secret_id", "tencent_secret_key", "tencent_operator")
            missing = [f"YUNHUI_{name.upper()}" for name in needed if not getattr(self, name)]
            if missing:
                raise ValueError(f"Tencent Meeting needs {', '.join(missing)}")
        return self
