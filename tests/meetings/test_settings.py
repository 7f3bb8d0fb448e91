"""The gateway refuses to start with what cannot work, and says what is missing. Accounts are users by one pattern."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from services.meetings.settings import MeetingsSettings
from services.meetings.tencent.accounts import Accounts
from services.platform.settings import load

KEY = base64.b64encode(b"k" * 32).decode().rstrip("=")
BUS = {"nats_user": "meetings", "nats_password": "k2Vw9QxLr7TnB4ZmH8sD"}
BASE = {"database_url": "sqlite:///x.db", "issuer": "https://id.example.org", "jwks": "keys.json", **BUS}
TENCENT = {
    "meetings_provider": "tencent",
    "tencent_app_id": "1",
    "tencent_secret_id": "2",
    "tencent_secret_key": "3",
    "tencent_operator": "admin",
}


def settings(**given: Any) -> MeetingsSettings:
    return MeetingsSettings(**{**BASE, **TENCENT, **given})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"meetings_provider": "simulated"}, "refused in production"),
        ({"meetings_provider": "tencent, simulated:9"}, "refused in production: set YUNHUI_MEETINGS_PROVIDER"),
        ({"meetings_provider": "tencent, zoom:9"}, "no provider 'zoom'"),
        ({"tencent_app_id": ""}, "YUNHUI_TENCENT_APP_ID"),
        ({"tencent_secret_key": ""}, "YUNHUI_TENCENT_SECRET_KEY"),
        ({"tencent_operator": ""}, "YUNHUI_TENCENT_OPERATOR"),
        ({"tencent_address": "http://api.meeting.qq.com"}, "https"),
        ({"tencent_userid": "everybody"}, "exactly once"),
        ({"tencent_userid": "{account}{account}"}, "exactly once"),
        ({"webhook_aes_key": "short"}, "43"),
        ({"webhook_aes_key": "!" * 43}, "43"),
        ({"webhook_listen": "here"}, "host:port"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(**given)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("zoom", "there is no provider 'zoom'"),
        ("tencent, simulated", "named twice"),
        ("tencent, simulated:9, tencent:9", "the prefix 9 is given twice"),
        ("tencent:1, simulated:9", "one provider must have no prefix"),
        ("tencent, simulated:x", "1 to 9 digits"),
    ],
)
def test_the_variable_is_named_when_providers_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    """As whoever starts the program sees it."""
    for name, value in {**BASE, **TENCENT, "meetings_provider": text}.items():
        monkeypatch.setenv(f"YUNHUI_{name.upper()}", value)
    with pytest.raises(SystemExit):
        load(MeetingsSettings)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("YUNHUI_MEETINGS_PROVIDER: ")
    assert why in line


def test_one_provider_or_two() -> None:
    """What only one of them needs is asked for wherever it is in use."""
    assert settings().routes == {"": "tencent"}
    development = {"environment": "development", "tencent_operator": ""}
    assert settings(**development, meetings_provider="simulated").routes == {"": "simulated"}
    with pytest.raises(ValidationError, match="YUNHUI_TENCENT_OPERATOR"):
        settings(**development, meetings_provider="simulated, tencent:1")
    made = settings(environment="development", meetings_provider="tencent, simulated:9")
    assert made.routes == {"": "tencent", "9": "simulated"}


def test_secrets_are_not_shown() -> None:
    made = settings(tencent_secret_key="very secret", webhook_token="also secret", webhook_aes_key=KEY)
    assert "secret" not in repr(made).replace("tencent_secret", "")
    assert KEY not in repr(made)


def test_an_account_is_a_user_of_the_same_name_unless_said_otherwise() -> None:
    assert settings().tencent_userid == settings(tencent_userid="").tencent_userid == "{account}"
    accounts = Accounts("cn-{account}@example.org")
    assert accounts.to_user("li") == "cn-li@example.org"
    assert accounts.to_account("cn-li@example.org") == "li"
    strangers = ["li@example.org", "cn-li@example.com", "cn-@example.org", ""]
    assert [accounts.to_account(user) for user in strangers] == ["", "", "", ""]
