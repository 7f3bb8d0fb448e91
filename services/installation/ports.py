"""Which port each program gets, and who sits on one that is taken."""

import errno
import secrets
import socket
from collections import deque
from collections.abc import Mapping

from services.installation.programs import DEFAULT_PORTS, HOST, METRICS_PORTS

FREE_PORTS = range(20_000, 32_768)
"""Below those that systems give to connections: one of those could be taken again before the program listens."""
MOST_HELD = 64
_held: deque[socket.socket] = deque()


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
        return {program: free_port() for program in wanted}
    for program, port in wanted.items():
        _probe(program, port)
    return wanted


def free_port() -> int:
    """A port on which nothing listens, and that no other program has just been given by this function.

    The UDP port of the same number is held as a sign of that, until MOST_HELD more were given or the program ends.
    """
    while True:
        port, sign = secrets.choice(FREE_PORTS), socket.socket(type=socket.SOCK_DGRAM)
        try:
            sign.bind((HOST, port))
            with socket.socket() as listener:
                listener.bind((HOST, port))
        except OSError as error:
            sign.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        _held.append(sign)
        if len(_held) > MOST_HELD:
            _held.popleft().close()
        return port


def _probe(program: str, port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTakenError(program, port) from error
