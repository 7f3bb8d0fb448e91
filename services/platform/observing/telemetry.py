"""What can be seen of a running program: logs, metrics and traces, set up in one place for each."""

from services.platform.observing import logs, metrics, traces
from services.platform.settings import Settings


def start(settings: Settings, program: str) -> None:
    """Call it after the last fork and before the first connection."""
    automatic: logs.Format = "json" if settings.environment == "production" else "console"
    logs.start(program, settings.log_format or automatic, settings.log_key.get_secret_value().encode())
    traces.start(program)
    metrics.start(program, settings.metrics_listen)
