"""What the meetings gateway is told by its environment; what only one provider wants to know is said there."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from services.meetings.tencent.settings import TencentSettings
from services.platform.host import HostSettings


class MeetingsSettings(HostSettings, TencentSettings):
    """Settings of the meetings gateway."""

    meetings_provider: Literal["simulated", "tencent"] = Field(
        "simulated", description="who holds the meetings; simulated is for development only"
    )
    webhook_listen: str = Field("127.0.0.1:0", description="host:port for webhooks")

    @field_validator("webhook_listen")
    @classmethod
    def check_listen(cls, listen: str) -> str:
        if not listen.rpartition(":")[2].isdigit():
            raise ValueError("must be host:port")
        return listen

    @model_validator(mode="after")
    def check_provider(self) -> Self:
        if self.environment == "production" and self.meetings_provider == "simulated":
            raise ValueError("simulated meetings are refused in production: set YUNHUI_MEETINGS_PROVIDER=tencent")
        if self.meetings_provider == "tencent":
            self.require_tencent()
        return self
