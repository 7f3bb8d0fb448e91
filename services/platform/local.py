"""What is so on one machine only. Apart from the settings: the command needs this, and not the 7 MB of pydantic."""

import ipaddress

DEVELOPMENT_ISSUER = "https://issuer.yunhui.invalid"  # .invalid can never be a real host (RFC 2606)


def is_loopback_address(address: str) -> bool:
    """Of host:port."""
    return is_loopback(address.rpartition(":")[0])


def is_loopback(host: str) -> bool:
    """Of a name or an address, also one in brackets."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
