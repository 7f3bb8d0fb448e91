"""What the meetings gateway is told by its environment; what only one provider wants to know is said there."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from services.meetings import routes, simulated
from services.meetings.tencent import tencent
from services.meetings.tencent.settings import TencentSettings
from services.platform.host import HostSettings

KNOWN = (simulated.NAME, tencent.NAME)


class MeetingsSettings(HostSettings, TencentSettings):
    """Settings of the meetings gateway."""

    meetings_provider: str = Field(
        simulated.NAME,
        description="who holds the meetings: simulated (for development only), tencent, or several, the others with "
        'prefixes of their numbers: "tencent, simulated:9"',
    )
    webhook_listen: str = Field("127.0.0.1:0", description="host:port for webhooks")
    sweep_seconds: float = Field(
        20.0, ge=0, le=3600, description="how often the provider's running meetings are looked at; 0: never, nor others"
    )
    sweep_calls_a_minute: int = Field(
        60, ge=1, le=600, description="calls to the provider that looking at its meetings may take"
    )
    bad_delay_ms: float = Field(300.0, gt=0, description="more delay than this is bad quality")
    bad_loss_percent: float = Field(5.0, gt=0, le=100, description="more loss than this is bad quality")
    keep_quality_days: int = Field(90, ge=1, le=3650, description="how long samples of quality are kept")

    @field_validator("meetings_provider")
    @classmethod
    def check_routes(cls, text: str) -> str:
        routes.read(text, KNOWN)
        return text

    @field_validator("webhook_listen")
    @classmethod
    def check_listen(cls, listen: str) -> str:
        if not listen.rpartition(":")[2].isdigit():
            raise ValueError("must be host:port")
        return listen

    @model_validator(mode="after")
    def check_providers(self) -> Self:
        used = self.routes.values()
        if self.environment == "production" and simulated.NAME in used:
            raise ValueError("simulated meetings are refused in production: set YUNHUI_MEETINGS_PROVIDER=tencent")
        if tencent.NAME in used:
            self.require_tencent()
        return self

    @property
    def routes(self) -> dict[str, str]:
        """Names of providers by the prefix of their numbers; "" is the default's."""
        return routes.read(self.meetings_provider, KNOWN)
