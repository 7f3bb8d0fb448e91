"""Which port each program gets, and who sits on one that is taken."""

import errno
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from services.cli.programs import DEFAULT_PORTS, HOST, METRICS_PORTS


class PortTakenError(Exception):
    """Another program listens on this port."""

    def __init__(self, program: str, port: int) -> None:
        super().__init__(f"{program}: {port}")
        self.program = program
        self.port = port


def choose(*, auto: bool, metrics: bool = False) -> Mapping[str, int]:
    """Free ports, all different, or the usual ones. Raises PortTakenError when a usual one is taken."""
    wanted = {**DEFAULT_PORTS, **(METRICS_PORTS if metrics else {})}
    if auto:
        return _free_ports(wanted)
    for program, port in wanted.items():
        _probe(program, port)
    return wanted


def _free_ports(programs: Iterable[str]) -> dict[str, int]:
    ports = {}
    with ExitStack() as held:  # all at once: one that is closed could be given again
        for program in programs:
            listener = held.enter_context(socket.socket())
            listener.bind((HOST, 0))
            ports[program] = int(listener.getsockname()[1])
    return ports


def _probe(program: str, port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTakenError(program, port) from error
