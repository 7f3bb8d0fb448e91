"""What can be seen of a running installation, and what must never be: people."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
import yaml
from google.protobuf.timestamp_pb2 import Timestamp
from joserfc import jwt
from joserfc.jwk import ECKey
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1.booking_service_pb2_grpc import BookingServiceStub

from services.installation.ports import free_port
from services.installation.programs import HOST
from services.installation.registry import PROGRAMS
from services.installation.state import State
from services.platform.observing import metrics
from tests.patience import PATIENCE_SECONDS
from tests.system import stack as stacks
from tests.system.collector import Collector
from tests.system.stack import MONDAY, Stack, wait_for

pytestmark = [pytest.mark.system, pytest.mark.long]

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
ACCOUNT = "canaryaccount"
WORDS = ("canary-subject", "canary-note", "canary-name")
CANARIES = (*WORDS, ACCOUNT, f"{ACCOUNT}@example.org", "777-666-555", "777666555")
OURS = [program.name for program in PROGRAMS]
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    """Everything is on: JSON logs, metrics, traces."""
    with pytest.MonkeyPatch.context() as patch:
        more = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "YUNHUI_LOG_FORMAT": "json",
        }
        patch.setattr(stacks, "ENVIRONMENT", stacks.ENVIRONMENT | more)
        running = Stack(tmp_path_factory.mktemp("seen"))
        nobody = f"http://{HOST}:{free_port()}"  # a provider that calls; with the gateway off it is never asked
        running.start("--clock", MONDAY, "--metrics", "--meetings", "off", "--standin", nobody)
        yield running
        running.stop()


def named_token(seen: Stack) -> str:
    """The canary's, with a name as real issuers give."""
    key = ECKey.import_key(json.loads(State(seen.state).private_key.read_text()))
    claims = jwt.decode(seen.login("booker", ACCOUNT).token, key).claims | {"name": "canary-name"}
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)


def call(seen: Stack, hour: int, people: int = 12) -> api.CreateReservationResponse:
    """A request of the canary, with a trace of its own around it."""
    token = named_token(seen)
    request = api.CreateReservationRequest(
        request_id=f"canary-{hour}-{people}",
        meeting_code="777-666-555",
        subject="canary-subject",
        start_time=moment(f"2025-07-08T{hour:02}:00:00+08:00"),
        end_time=moment(f"2025-07-08T{hour + 1:02}:00:00+08:00"),
        participant_count=people,
    )
    sent = (("authorization", f"Bearer {token}"), ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"))
    with grpc.insecure_channel(seen.run["booking"]) as channel:
        answer: api.CreateReservationResponse = BookingServiceStub(channel).CreateReservation(request, metadata=sent)
    return answer


def moment(text: str) -> Timestamp:
    made = Timestamp()
    made.FromJsonString(text)
    return made


def page(seen: Stack, program: str) -> str:
    return httpx2.get(seen.run["metrics"][program], timeout=PATIENCE_SECONDS).text


def test_one_trace_leads_from_the_call_to_the_mail(seen: Stack, collector: Collector) -> None:
    """Through the batch, the policy, the commit, the outbox and the notifier's table."""
    call(seen, 10)
    wanted = {
        ("yunhui-booking", "yunhui.booking.v1.BookingService/CreateReservation"),
        ("yunhui-booking", "intake batch"),
        ("yunhui-policy", "policy.decide"),
        ("yunhui-booking", "commit"),
        ("yunhui-booking", "publish yunhui.booking.reservation.confirmed"),
        ("yunhui-notifier", "take event in"),
        ("yunhui-notifier", "send mail"),
        ("yunhui-notifier", "publish yunhui.notifier.delivery.sent"),
    }
    wait_for(lambda: wanted <= set(collector.of(TRACE)))


def test_nobody_is_in_logs_metrics_and_traces(seen: Stack, collector: Collector) -> None:
    """Whatever happens to the canary: accepted, refused, escalated, cancelled with a note, mail and programs fail."""
    accepted = call(seen, 12)
    call(seen, 14, people=150)
    for hour in (15, 16, 17, 18):
        call(seen, hour)
    canary = seen.login("booker", ACCOUNT)
    canary.yunhui("cancel", accepted.reservation.reservation_id, "--note", "canary-note")
    canary.yunhui("check", "--code", "canary-subject", "--start", "canary-note", "--minutes", "60", "--people", "2")
    let_mail_fail(seen)
    provoke_an_error_of_ours(seen)
    httpx2.post(f"http://{seen.run['webhooks']}/tencent", content=b'{"data": "canary-note"}', timeout=PATIENCE_SECONDS)
    places = {name: log(seen, name) for name in (*OURS, "nats")}
    places |= {f"{name} metrics": page(seen, name) for name in OURS}
    places["traces"] = b"".join(collector.bodies).decode(errors="replace")
    assert [
        (name, canary) for canary in (*CANARIES, canary.token) for name, text in places.items() if canary in text
    ] == []


def let_mail_fail(seen: Stack) -> None:
    """The mail server has nowhere to put mail, and says so to whoever brings some."""
    mailbox = State(seen.state).mail / "new"
    away = mailbox.rename(mailbox.with_name("away"))
    call(seen, 21)
    wait_for(lambda: re.search(r'attempts_total.*verdict="(temporary|permanent)"', page(seen, "notifier")))
    away.rename(mailbox)


def provoke_an_error_of_ours(seen: Stack) -> None:
    """What is stored is damaged: the bytes, and whose they are, must not reach the log."""
    import pysqlite3.dbapi2 as sqlite

    database = sqlite.connect(seen.state / "booking.db", timeout=PATIENCE_SECONDS)
    database.execute("UPDATE answer SET response = CAST('canary-subject' AS BLOB)")
    database.commit()
    database.close()
    with pytest.raises(grpc.RpcError) as caught:
        call(seen, 12)  # again, so that the stored answer is read
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    lines = [json.loads(line) for line in log(seen, "booking").splitlines()]
    [failed] = [line for line in lines if "exception" in line]
    assert failed["level"] == "error"
    assert "services/booking" in failed["exception"]
    assert re.fullmatch("[0-9a-f]{10}", failed["account"])


def log(seen: Stack, program: str) -> str:
    return (seen.state / "logs" / f"{program}.log").read_text()


def test_logs_are_json_with_known_keys_only(seen: Stack) -> None:
    """Libraries' records too."""
    for program in OURS:
        for line in log(seen, program).splitlines():
            written: dict[str, Any] = json.loads(line)
            assert {"event", "level", "logger", "time", "program"} <= set(written)
            assert written["program"] == program


def test_every_metric_of_dashboard_and_alarms_is_served(seen: Stack) -> None:
    """And every metric that is declared is explained in the document."""
    call(seen, 20)
    served = set()
    for program in seen.run["metrics"]:
        served |= set(re.findall(r"^(yunhui_\w+)", page(seen, program), re.MULTILINE))
        served |= set(re.findall(r"^# TYPE (yunhui_\w+)", page(seen, program), re.MULTILINE))
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    alarms = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    asked = {target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    asked |= {rule["expr"] for group in alarms["groups"] for rule in group["rules"]}
    assert {name for expression in asked for name in re.findall(r"yunhui_\w+", expression)} - served == set()


def test_the_document_names_every_metric() -> None:
    for program in OURS:
        importlib.import_module(f"services.{program}.__main__")  # declares
    text = (ROOT / "docs" / "observability.md").read_text()
    assert set(re.findall(r"`(yunhui_\w+)`", text)) == set(metrics.declared)


def test_labels_are_few(seen: Stack) -> None:
    """No label may grow with people or reservations."""
    names = set(re.findall(r"[{,](\w+)=", "".join(line for each in seen.run["metrics"] for line in ours(seen, each))))
    assert names <= {"program", "check", "method", "code", "effect", "le", "channel", "verdict", "question", "outcome"}


def ours(seen: Stack, program: str) -> list[str]:
    return [line for line in page(seen, program).splitlines() if line.startswith("yunhui_")]


def test_nothing_is_exported_unless_asked_for(stack: Stack) -> None:
    """No page, no library of traces or metrics in memory."""
    assert stack.run["metrics"] == {}
    for program in set(OURS) & set(stack.pids):
        mapped = Path(f"/proc/{stack.pids[program]}/environ").read_text()
        assert "YUNHUI_METRICS_LISTEN=\0" in mapped
