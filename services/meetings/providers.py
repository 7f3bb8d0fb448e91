"""What each provider brings to the program."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from services.meetings.provider import Provider
from services.platform.serving import rpc


async def nothing() -> None:
    """There is nothing to be closed."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One provider, ready to be asked."""

    provider: Provider
    servicers: Mapping[str, rpc.Add] = field(default_factory=dict)
    """gRPC services that there are only with it, by full name."""
    webhooks: Sequence[BaseRoute] = ()
    """Where it calls us, see webhooks.app."""
    close: Callable[[], Awaitable[None]] = nothing
    """When nobody asks it any more."""
