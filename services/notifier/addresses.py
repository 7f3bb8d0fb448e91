"""Where a webhook may lead: a name is resolved once, and only an address that was checked is connected to."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
MOST_URL = 2000
NO_URL = "is not a URL, for example https://example.org/hook", "不是网址，例如 https://example.org/hook"


class RefusedAddressError(Exception):
    """The URL does not lead to where webhooks may; the message says why, and `chinese` too."""

    def __init__(self, message: str, chinese: str) -> None:
        super().__init__(message)
        self.chinese = chinese


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as texts. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Guard:
    """Everything is allowed in development; otherwise https to public addresses only."""

    def __init__(self, *, development: bool, resolve: Resolve = resolve) -> None:
        self._development = development
        self._resolve = resolve

    def check_url(self, url: str) -> tuple[str, int]:
        """Host and port. Raises RefusedAddressError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise RefusedAddressError(*NO_URL) from None
        if not url.isascii() or not url.isprintable() or " " in url or len(url) > MOST_URL or not host:
            raise RefusedAddressError(*NO_URL)
        if parts.scheme != "https" and not (self._development and parts.scheme == "http"):
            raise RefusedAddressError("must begin with https://", "须以 https:// 开头")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise RefusedAddressError("must hold neither user, password nor fragment", "不得含用户名、密码或片段")
        return host, port or (443 if parts.scheme == "https" else 80)

    async def pin(self, url: str) -> str:
        """The address to connect to. One private address among several refuses all. Raises RefusedAddressError."""
        host, port = self.check_url(url)
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            raise RefusedAddressError(f"the host {host} cannot be found", f"找不到主机 {host}") from None
        if not found:
            raise RefusedAddressError(f"the host {host} cannot be found", f"找不到主机 {host}")
        if not self._development and not all(is_public(address) for address in found):
            raise RefusedAddressError(f"the host {host} leads to a private address", f"主机 {host} 指向私有地址")
        return found[0]


def is_public(text: str) -> bool:
    """Whether an address is anybody's on the internet: neither ours nor this machine's nor a way around to them."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:  # with a zone, for example: fe80::1%eth0
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return address.is_global and not address.is_multicast
