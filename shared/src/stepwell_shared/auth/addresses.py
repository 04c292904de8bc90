"""From which address a request came, through proxies that may say so and no others. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of texts such as `10.0.0.0/8` or `10.1.2.3`. Raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def address_of(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """The last address in `X-Forwarded-For` that is none of our proxies; the peer's own unless it is one.

    Each proxy adds at the end whom it heard from, so that what a client invents stands further to the left. An IPv6
    client is its /64: that is what one subscriber is given.
    """
    found = peer
    for told in (*reversed([each.strip() for each in forwarded.split(",") if each.strip()]), ""):
        if not told or not _is_within(found, proxies):
            break
        found = told
    return _subscriber(found)


def _is_within(text: str, proxies: Sequence[Network]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in each for each in proxies)


def _subscriber(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return text[:64]
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False).network_address)
    return str(getattr(address, "ipv4_mapped", None) or address)
