"""What the portal is told by its environment."""

from typing import Self
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import Field, SecretStr, field_validator, model_validator

from services.platform.local import DEVELOPMENT_ISSUER, is_loopback
from services.platform.settings import TokenSettings
from services.portal.oidc import Client
from services.portal.sign_in import CALLBACK


class PortalSettings(TokenSettings):
    """Settings of the portal. Issuer, client id and client secret are what switches to another issuer."""

    listen: str = Field("127.0.0.1:7100", description="host:port for pages; put your own TLS in front")
    portal_url: str = Field(description="where people find the portal: https://..., without a path")
    issuer: str = Field(description="who signs people in: `iss` of its tokens, and where its discovery document lies")
    client_id: str = Field("yunhui-portal", description="what the issuer knows the portal as")
    client_secret: SecretStr = Field(SecretStr(""), description="its secret at the issuer")
    audience: str = Field(
        "yunhui", description="`aud` of the token shown to the services; the client id where access tokens are no JWT"
    )
    scope: str = Field("openid profile email", description="what is asked of the issuer")
    discovery: str = Field("", description="development only: where the discovery document lies instead")
    booking_address: str = Field("127.0.0.1:7101", description="host:port of gRPC; http:// in front: without TLS")
    policy_address: str = Field("127.0.0.1:7102", description="the same of the policy")
    notifier_address: str = Field("127.0.0.1:7103", description="the same of the notifier")
    meetings_address: str = Field("127.0.0.1:7107", description="the same of the meetings gateway")
    directory_address: str = Field("127.0.0.1:7117", description="the same of the directory")
    mail_from: str = Field("", description="sender of mails, as the notifier has it; calendars tell entries by it")
    csp_report: str = Field("", description="path or address that browsers tell what the security policy stopped")

    @field_validator("mail_from")
    @classmethod
    def check_sender(cls, address: str) -> str:
        if not address:
            return ""
        try:
            checked = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
        except EmailNotValidError:
            raise ValueError("not an e-mail address") from None
        return checked.ascii_email or checked.normalized

    @field_validator("portal_url")
    @classmethod
    def check_portal(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ValueError("must be like https://book.example.org, without a path")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("issuer")
    @classmethod
    def check_issuer(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme == "http" and is_loopback(parts.hostname or ""):
            return url
        if parts.scheme != "https" or not parts.netloc:
            raise ValueError("must begin with https://: an issuer without TLS cannot be trusted")
        return url

    @model_validator(mode="after")
    def refuse_development(self) -> Self:
        if self.environment != "production":
            return self
        if self.issuer == DEVELOPMENT_ISSUER or self.issuer.startswith("http:"):
            raise ValueError("the development issuer is refused in production: set YUNHUI_ISSUER")
        if self.discovery:
            raise ValueError("the document of a real issuer lies below its address: unset YUNHUI_DISCOVERY")
        if not self.client_secret.get_secret_value():
            raise ValueError("the portal proves itself to the issuer: set YUNHUI_CLIENT_SECRET")
        if self.portal_url.startswith("http:"):
            raise ValueError("people sign in there: YUNHUI_PORTAL_URL must be https")
        return self

    def client(self) -> Client:
        return Client(
            issuer=self.issuer,
            client_id=self.client_id,
            client_secret=self.client_secret.get_secret_value(),
            audience=self.audience,
            redirect_uri=self.portal_url + CALLBACK,
            scope=self.scope,
            discovery=self.discovery,
            allow_http=self.environment == "development",
        )
