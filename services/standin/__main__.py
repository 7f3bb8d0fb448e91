"""The stand-in as a program: `python -m services.standin`, or `yunhui standin`, until interrupted. For development."""

import argparse
import os
import random
import signal
import sys

from services.standin.request_checks import Application, RequestChecker
from services.standin.sender import Mischief, WebhookSender
from services.standin.server import Standin
from services.standin.users import invented

SHARES = ("lost", "doubled", "late", "swapped", "forged")


def main() -> None:
    """What both sides must know comes from the environment, by the names that the gateway reads."""
    options = read_options()
    mischief = Mischief(
        **{name: getattr(options, name) for name in SHARES},
        late_seconds=options.late_seconds,
        dice=random.Random(options.seed),  # noqa: S311 - mischief, not secrets
    )
    token, key = (os.environ.get(name, "") for name in ("YUNHUI_WEBHOOK_TOKEN", "YUNHUI_WEBHOOK_AES_KEY"))
    standin = Standin(
        options.port, WebhookSender(options.webhooks, token, key, mischief), RequestChecker(application())
    )
    standin.cloud.admin = os.environ.get("YUNHUI_TENCENT_OPERATOR", "admin")
    standin.cloud.users |= {standin.cloud.admin, *options.user}
    for number in range(1, options.people + 1):
        standin.cloud.add_user(invented(number))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.stdout.write(f"{standin.address}\n")
    sys.stdout.flush()
    try:
        standin.serve()
    except KeyboardInterrupt:
        sys.exit(0)


def application() -> Application:
    known = Application()
    return Application(
        app_id=os.environ.get("YUNHUI_TENCENT_APP_ID", known.app_id),
        sdk_id=os.environ.get("YUNHUI_TENCENT_SDK_ID", known.sdk_id),
        secret_id=os.environ.get("YUNHUI_TENCENT_SECRET_ID", known.secret_id),
        secret_key=os.environ.get("YUNHUI_TENCENT_SECRET_KEY", known.secret_key),
    )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.standin", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--webhooks", default="", help="where to send them; none are sent when empty")
    parser.add_argument("--user", action="append", default=[], help="somebody of the enterprise; repeatable")
    parser.add_argument("--people", type=int, default=0, help="how many invented ones the enterprise has besides")
    for name in SHARES:
        parser.add_argument(f"--{name}", type=float, default=0.0, help="share of the webhooks, 0 to 1")
    parser.add_argument("--late-seconds", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
