"""Which endpoints a Subscription may post to: public ones by https, and those that this deployment allows."""

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


class EndpointPolicy:
    """https anywhere public by name, and the configured `host` or `host:port` by any scheme.

    Addresses inside the deployment must be configured, so that a subscription is no way to reach them
    (https://owasp.org/www-community/attacks/Server_Side_Request_Forgery). A name is only judged by its form here;
    what it resolves to is checked whenever something is sent.
    """

    def __init__(self, hosts_allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(host.lower() for host in hosts_allowed)

    def may_post(self, endpoint: str) -> bool:
        """Whether a Subscription may name this endpoint."""
        parts = _parts(endpoint)
        if parts is None:
            return False
        return self._is_allowed(parts) or (parts.scheme == "https" and _is_public_name(parts.hostname or ""))

    def is_configured(self, endpoint: str) -> bool:
        """Whether the deployment itself vouches for the host, wherever its name leads."""
        parts = _parts(endpoint)
        return parts is not None and self._is_allowed(parts)

    def _is_allowed(self, parts: SplitResult) -> bool:
        host = (parts.hostname or "").lower()
        return host in self._allowed or f"{host}:{parts.port}" in self._allowed


def _parts(endpoint: str) -> SplitResult | None:
    """The parts of an http or https URL without a login and fragment; None when it is not one."""
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # raises when it is out of range
    except ValueError:
        return None
    is_plain = parts.username is None and not parts.fragment
    return parts if parts.scheme in ("http", "https") and parts.hostname and is_plain else None


def _is_public_name(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        # A name of digits and dots only is an address in disguise (127.1, 2130706433, 0x7f000001).
        label = host.rstrip(".").rpartition(".")[2]
        return "." in host.rstrip(".") and not label[:1].isdigit() and label not in ("local", "localhost", "internal")
    return False
