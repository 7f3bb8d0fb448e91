"""Traces (OpenTelemetry): off, and not even imported, unless OTEL_EXPORTER_OTLP_ENDPOINT says where they go.

A place in a trace is written as W3C traceparent, "" for none: so it travels in gRPC metadata, NATS headers and rows.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

HEADER = "traceparent"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

Kind = Literal["internal", "server", "client", "producer", "consumer"]

_tracer: Any = None
_NOTHING: AbstractContextManager[None] = nullcontext()


def start(program: str) -> None:
    """Begins a thread that exports in batches: call it after the last fork."""
    global _tracer
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"yunhui-{program}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("yunhui")


def on() -> bool:
    return _tracer is not None


def current() -> str:
    """Where we are, as traceparent."""
    if _tracer is None:
        return ""
    from opentelemetry import trace

    place = trace.get_current_span().get_span_context()
    return f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}" if place.is_valid else ""


def headers() -> dict[str, str] | None:
    """For a message on the bus; None while there is no trace."""
    here = current()
    return {HEADER: here} if here else None


def span(
    name: str, *, parent: str = "", links: Iterable[str] = (), kind: Kind = "internal"
) -> AbstractContextManager[None]:
    """A piece of work; below `parent`, or below what is under way here. Names hold no personal data."""
    return _NOTHING if _tracer is None else _span(name, parent, links, kind)


def received(name: str, parent: str, kind: Kind = "consumer") -> AbstractContextManager[None]:
    """A piece of work for what came with `parent`; none when it came without, as the questions of readiness do."""
    return _NOTHING if _tracer is None or not parent else _span(name, parent, (), kind)


def batch(name: str, members: Iterable[str]) -> AbstractContextManager[None]:
    """One piece of work for several traces: part of it when there is one, otherwise of its own with a link to each."""
    if _tracer is None:
        return _NOTHING
    known = list(filter(None, members))
    return _span(name, known[0], (), "internal") if len(known) == 1 else _span(name, "", known, "internal")


def continued(parent: str) -> AbstractContextManager[None]:
    """What is done inside belongs to the trace of `parent`."""
    return _NOTHING if _tracer is None or not parent else _continued(parent)


@contextmanager
def _span(name: str, parent: str, links: Iterable[str], kind: Kind) -> Iterator[None]:
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode, get_current_span

    targets = [Link(get_current_span(_read(each)).get_span_context()) for each in links if each]
    options: Mapping[str, Any] = {"context": _read(parent) if parent else None, "links": targets}
    with _tracer.start_as_current_span(
        name, kind=SpanKind[kind.upper()], record_exception=False, set_status_on_exception=False, **options
    ) as made:
        try:
            yield
        except Exception as error:
            # OpenTelemetry would record the error's words, and they can quote what people wrote
            made.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


@contextmanager
def _continued(parent: str) -> Iterator[None]:
    from opentelemetry import context

    token = context.attach(_read(parent))
    try:
        yield
    finally:
        context.detach(token)


def _read(traceparent: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER: traceparent}, Context())
