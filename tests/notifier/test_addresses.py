"""Where webhooks may lead, held against the registries of special-purpose addresses of IANA (RFC 6890 and later)."""

import ipaddress
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.notifier.addresses import AddressGuard, RefusedAddressError, is_public
from services.notifier.settings import NotifierSettings

IPV4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24",
    "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
]  # fmt: skip
IPV6 = [
    "::1/128", "::/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
    "2001::/23", "2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32",
    "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16",
    "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip
"""With what is multicast, and the forms of IPv4 in IPv6 that are in no registry: compatible, translated, site-local."""


def edges(block: str) -> list[str]:
    network = ipaddress.ip_network(block)
    middle = network[network.num_addresses // 2]
    return [str(network[0]), str(middle), str(network[-1])]


@pytest.mark.parametrize("block", IPV4 + IPV6)
def test_no_special_purpose_address_is_public(block: str) -> None:
    """First, middle and last of each block; what is reachable from everywhere in them is nobody's webhook."""
    assert [address for address in edges(block) if is_public(address)] == []


@pytest.mark.parametrize("block", [block for block in IPV4 if block != "255.255.255.255/32"])
def test_nor_in_what_embeds_it(block: str) -> None:
    """However an address of IPv6 leads to it."""
    for inner in map(ipaddress.IPv4Address, edges(block)):
        number = int(inner)
        embedded = [
            ("64:ff9b::", number),
            ("64:ff9b:1::", number),
            ("::", number),
            ("::ffff:0:0", number),
            ("::ffff:0:0:0", number),
            ("2002::", number << 80),
            ("2001::", number ^ 0xFFFF_FFFF),
            ("2606:4700::5efe:0:0", number),
            ("2606:4700::200:5efe:0:0", number),
        ]
        found = [str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(base)) | bits)) for base, bits in embedded]
        assert [address for address in found if is_public(address)] == []


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.32.0.0",
        "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        "2400:3200::1", "2001:200::1", "3ffe::1", "64:ff9b::5db8:d70e", "2606:4700::5efe:5db8:d70e",
    ],
)  # fmt: skip
def test_public_addresses_are(address: str) -> None:
    """Those of everybody else, to the edge; where only NAT64 leads to IPv4, those too."""
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "nonsense", "127.1", "0x7f.0.0.1", "2130706433", "fe80::1%eth0", "2606::1%lo"])
def test_what_is_no_plain_address_is_not(text: str) -> None:
    """A zone would choose an interface."""
    assert not is_public(text)


FORBIDDEN_4 = [ipaddress.IPv4Network(block) for block in IPV4]
FORBIDDEN_6 = [ipaddress.IPv6Network(block) for block in IPV6]
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@given(st.integers(0, 2**32 - 1) | st.sampled_from(FORBIDDEN_4).flatmap(lambda n: st.integers(int(n[0]), int(n[-1]))))
def test_of_ipv4_nothing_else_is_public(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if is_public(str(address)):
        assert not any(address in block for block in FORBIDDEN_4)
        assert address.is_global
        assert not address.is_multicast


PREFIXES = st.sampled_from([*FORBIDDEN_6, GLOBAL_UNICAST, NAT64]).flatmap(lambda n: st.integers(int(n[0]), int(n[-1])))


@given(st.integers(0, 2**128 - 1) | PREFIXES)
@example(int(ipaddress.IPv6Address("64:ff9b::7f00:1")))
def test_of_ipv6_nothing_but_global_unicast_is_public(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if not is_public(str(address)):
        return
    if address in NAT64:
        assert is_public(str(ipaddress.IPv4Address(number & 0xFFFF_FFFF)))
    else:
        assert address in GLOBAL_UNICAST
        assert not any(address in block for block in FORBIDDEN_6)


@pytest.mark.parametrize(
    ("url", "ports", "allowed"),
    [
        ("https://example.org/", {443}, True),
        ("https://example.org:443/", {443}, True),
        ("https://example.org:8443/", {443}, False),
        ("https://example.org:8443/", {443, 8443}, True),
        ("https://example.org:22/", {443, 8443}, False),
        ("https://example.org:0/", {443}, False),
        ("https://example.org/", {8443}, False),
    ],
)
def test_only_at_ports_that_were_allowed(url: str, ports: set[int], allowed: bool) -> None:
    """A port of another protocol may understand more of a call than was meant."""
    guard = AddressGuard(development=False, ports=ports)
    if allowed:
        guard.check_url(url)
    else:
        with pytest.raises(RefusedAddressError, match="must lead to port"):
            guard.check_url(url)


def settings(**changes: str) -> NotifierSettings:
    given: dict[str, str] = {
        "issuer": "https://issuer.example.org",
        "nats_user": "notifier",
        "database_url": "sqlite://",
    }
    secret = {"nats_password": "n-Rq8wL2vX9tB4kZ"}
    mail = {"mail_from": "rooms@example.org", "portal_url": "https://book.example.org"}
    return NotifierSettings(**(given | secret | mail | changes))  # type: ignore[arg-type] # pydantic reads the texts


@pytest.mark.parametrize("ports", ["", "https", "443;8443", "0", "65536", "-1", "443,"])
def test_ports_are_checked_before_anything_starts(ports: str) -> None:
    with pytest.raises(ValueError, match="must be ports"):
        settings(webhook_ports=ports)


def test_the_setting_says_which_ports() -> None:
    """443 alone, if nothing else is set."""
    with pytest.raises(RefusedAddressError):
        settings().guard().check_url("https://example.org:8443/")
    settings(webhook_ports="443, 8443").guard().check_url("https://example.org:8443/")


async def test_every_address_of_a_name_must_be_public() -> None:
    """And the literal address in a URL is one like any other."""
    for address in ("64:ff9b:1::808:808", "::8.8.8.8", "fec0::1", "168.63.129.16"):

        async def resolve(host: str, port: int, address: str = address) -> list[str]:
            return ["93.184.215.14", address]

        with pytest.raises(RefusedAddressError, match="private address"):
            await AddressGuard(development=False, resolve=resolve).pin("https://example.org/")
    if socket.has_ipv6:
        with pytest.raises(RefusedAddressError):
            await AddressGuard(development=False).pin("https://[64:ff9b:1::808:808]/")
