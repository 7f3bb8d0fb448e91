"""What the provider Tencent Meeting is told by the environment."""

import base64
import binascii
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from services.meetings.tencent import tencent
from services.meetings.tencent.accounts import PLACEHOLDER, Accounts
from services.meetings.tencent.limits import CALLS_A_MINUTE
from services.platform.local import is_loopback

NONE = SecretStr("")
NEEDED = ("tencent_app_id", "tencent_secret_id", "tencent_secret_key", "tencent_operator")


class TencentSettings(BaseModel):
    """Part of the settings of the gateway; looked at only where this provider is in use."""

    tencent_address: str = Field(tencent.ADDRESS, description="where Tencent Meeting's REST API is")
    tencent_app_id: str = Field("", description="AppId: the enterprise")
    tencent_sdk_id: str = Field("", description="SdkId: the application; empty if none was allotted")
    tencent_secret_id: str = Field("", description="SecretId of the application")
    tencent_secret_key: SecretStr = Field(NONE, description="SecretKey of the application")
    tencent_operator: str = Field(
        "", description="userid of an administrator: asks who came, and steers where no creator is known"
    )
    tencent_userid: str = Field(PLACEHOLDER, description="which userid an account is; {account} stands for its id")
    tencent_calls_a_minute: int = Field(
        CALLS_A_MINUTE, description="share of the application's 300 for this replica", ge=10, le=300
    )
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
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise ValueError("must be https (http only on this machine)")
        return address.rstrip("/")

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

    def require_tencent(self) -> None:
        """Raises ValueError naming what is missing."""
        missing = [f"YUNHUI_{name.upper()}" for name in NEEDED if not getattr(self, name)]
        if missing:
            raise ValueError(f"Tencent Meeting needs {', '.join(missing)}")
