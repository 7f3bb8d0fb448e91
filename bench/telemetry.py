"""What it costs to be seen: the same load with telemetry off, with metrics, and with metrics and every trace exported.

Three installations side by side take turns, so that ratios are within a round. Traces go to a collector that takes
everything and keeps nothing.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from bench import bookers, processes
from bench.booking import IN_FLIGHT, ROOMS, WARM_SECONDS, Asker, Bench, Figures, Samples, Tell, add, median
from bench.installation import Installation, running

METRICS = ("--metrics",)


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    received = 0  # bytes, of all

    def do_POST(self) -> None:
        Collector.received += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[str]:
    """The address where traces go."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def measure(bench: Bench) -> Figures:
    samples: Samples = defaultdict(list)
    keys = bookers.make_issuer(bench.folder / "issuer")
    with ExitStack() as stack:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.enter_context(collector())}
        places = {
            "off": Installation(bench.folder / "telemetry-off", keys),
            "metrics": Installation(bench.folder / "telemetry-metrics", keys, arguments=METRICS),
            "traces": Installation(bench.folder / "telemetry-traces", keys, arguments=METRICS, environment=traced),
        }
        askers = {name: _ready(bench, stack.enter_context(running(place))) for name, place in places.items()}
        for number in range(bench.rounds):
            _compare(askers, number, samples, bench.tell_round("telemetry", number))
    if not Collector.received:
        raise RuntimeError("no trace arrived: what was measured is not what they cost")
    return {figure: median(values) for figure, values in samples.items()}


def _ready(bench: Bench, place: Installation) -> Asker:
    bookers.make_rooms(place.state, place.address, ROOMS)
    asker = Asker(bench, place, bookers.creating(place.state, ROOMS))
    asker.create(IN_FLIGHT, WARM_SECONDS / 2)
    asker.settle()
    return asker


def _compare(askers: dict[str, Asker], number: int, samples: Samples, say: Tell) -> None:
    """Each in turn, beginning with another one each round."""
    names = [*askers]
    speed, cpu = {}, {}
    for index in range(len(names)):
        name = names[(number + index) % len(names)]
        speed[name], cpu[name] = _ask(askers[name])
    for name in names[1:]:
        add(samples, **{f"create_{name}_vs_off": speed[name] / speed["off"]})
        add(samples, **{f"create_cpu_{name}_vs_off": cpu[name] / cpu["off"]})
    say(", ".join(f"{name} {speed[name]:.0f}/s {1e3 * cpu[name]:.2f} ms" for name in names))


def _ask(asker: Asker) -> tuple[float, float]:
    """Reservations per second, and CPU seconds of all programs for each until nothing is left to do."""
    before = processes.cpu_seconds(asker.place.programs)
    outcome = asker.create(IN_FLIGHT, asker.bench.seconds / 2)
    asker.settle()
    cpu = processes.spent(before, processes.cpu_seconds(asker.place.programs))
    return outcome.per_second, cpu / len(outcome.answers)
