"""Where a webhook may lead: a name is resolved once, and only an address that was checked is connected to.

Allowed is what is known to be anybody's on the internet, and nothing else: what a registry adds tomorrow, or a network
embeds in an address, is refused until somebody has thought of it.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from services.platform.text.languages import ENGLISH
from services.platform.text.messages import Text, message

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that IANA has given out as global unicast."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""How a network without IPv4 shows IPv4 addresses (RFC 6052); those that a network chooses for itself are its own."""
SPECIAL_4 = [
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # in no registry: what a virtual machine of Azure asks about itself
    )
]  # fmt: skip
"""IANA's special-purpose addresses (RFC 6890), those that are reachable from everywhere too, and multicast."""
SPECIAL_6 = [
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocols: Teredo, which embeds IPv4, among them
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
]  # fmt: skip
ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""What stands before an IPv4 address in the lower half of an IPv6 address that leads to it (RFC 5214)."""
PORTS = frozenset({443})
MOST_URL = 2000
NO_URL = message("is not a URL, for example https://example.org/hook")


class RefusedAddressError(Exception):
    """The URL does not lead to where webhooks may; `words` say why."""

    def __init__(self, words: Text) -> None:
        super().__init__(words.to(ENGLISH))
        self.words = words


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as texts. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class AddressGuard:
    """Everything is allowed in development; otherwise https to public addresses only, at one of `ports`."""

    def __init__(self, *, development: bool, ports: Collection[int] = PORTS, resolve: Resolve = resolve) -> None:
        self._development = development
        self._ports = ports
        self._resolve = resolve

    def check_url(self, url: str) -> tuple[str, int]:
        """Host and port. Raises RefusedAddressError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise RefusedAddressError(NO_URL) from None
        if not url.isascii() or not url.isprintable() or " " in url or len(url) > MOST_URL or not host:
            raise RefusedAddressError(NO_URL)
        if parts.scheme != "https" and not (self._development and parts.scheme == "http"):
            raise RefusedAddressError(message("must begin with https://"))
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise RefusedAddressError(message("must hold neither user, password nor fragment"))
        if port is None:
            port = 443 if parts.scheme == "https" else 80
        if not self._development and port not in self._ports:
            allowed = ", ".join(map(str, sorted(self._ports)))
            raise RefusedAddressError(message("must lead to port {allowed}", allowed=allowed))
        return host, port

    async def pin(self, url: str) -> str:
        """The address to connect to. One private address among several refuses all. Raises RefusedAddressError."""
        host, port = self.check_url(url)
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise RefusedAddressError(message("the host {host} cannot be found", host=host)) from None
        if not found:
            raise RefusedAddressError(message("the host {host} cannot be found", host=host))
        if not self._development and not all(is_public(address) for address in found):
            raise RefusedAddressError(message("the host {host} leads to a private address", host=host))
        return found[0]


def is_public(text: str) -> bool:
    """Whether an address is anybody's on the internet: neither ours nor this machine's nor a way around to them."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in SPECIAL_4)
    inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.scope_id is not None:
        return False
    if address in NAT64:
        return is_public(str(inner))
    if int(address) >> 32 & 0xFFFF_FFFF in ISATAP and not is_public(str(inner)):
        return False
    return address in UNICAST and not any(address in block for block in SPECIAL_6)
