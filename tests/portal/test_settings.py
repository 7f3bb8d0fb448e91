"""What the portal is told, and what it refuses to start with."""

import pytest

from services.platform.local import DEVELOPMENT_ISSUER
from services.platform.settings import load
from services.portal.settings import PortalSettings

PRODUCTION = {
    "ENVIRONMENT": "production",
    "PORTAL_URL": "https://book.example.org",
    "ISSUER": "https://id.example.org",
    "CLIENT_ID": "portal",
    "CLIENT_SECRET": "a-secret",
}


def start(monkeypatch: pytest.MonkeyPatch, **changes: str) -> PortalSettings:
    for name, value in (PRODUCTION | changes).items():
        monkeypatch.setenv(f"YUNHUI_{name}", value)
    return load(PortalSettings)


def test_three_settings_name_the_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest follows from them and from the portal's own address."""
    client = start(monkeypatch, PORTAL_URL="https://book.example.org/").client()
    assert (client.issuer, client.client_id, client.client_secret) == ("https://id.example.org", "portal", "a-secret")
    assert client.redirect_uri == "https://book.example.org/sign-in/callback"
    assert (client.discovery, client.allow_http) == ("", False)


@pytest.mark.parametrize(
    ("changes", "way_out"),
    [
        ({"ISSUER": DEVELOPMENT_ISSUER}, "set YUNHUI_ISSUER"),
        ({"ISSUER": "http://127.0.0.1:7110"}, "set YUNHUI_ISSUER"),
        ({"ISSUER": "http://id.example.org"}, "https://"),
        ({"DISCOVERY": "https://elsewhere.example/x"}, "unset YUNHUI_DISCOVERY"),
        ({"CLIENT_SECRET": ""}, "set YUNHUI_CLIENT_SECRET"),
        ({"PORTAL_URL": "http://book.example.org"}, "YUNHUI_PORTAL_URL must be https"),
        ({"PORTAL_URL": "https://book.example.org/portal"}, "without a path"),
        ({"PORTAL_URL": "book.example.org"}, "https://book.example.org"),
    ],
)
def test_production_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changes: dict[str, str], way_out: str
) -> None:
    """And says the way out, without the secret."""
    with pytest.raises(SystemExit) as ended:
        start(monkeypatch, **changes)
    said = capsys.readouterr().err
    assert (ended.value.code, way_out in said, "a-secret" in said) == (2, True, False)
