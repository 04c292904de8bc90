"""A database's URL, and what it says of the way there: a transaction pooler lends connections by transaction.

Behind a pooler such as pgbouncer in transaction mode nothing may be left on a connection: no LISTEN, no lock of
a session, and no prepared statement unless the pooler knows them. `?pooler=transaction` in the URL says so, and
`?pooler=transaction-prepared` where it is pgbouncer 1.21 or newer with max_prepared_statements.
"""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode, urlsplit

PARAMETER = "pooler"


class Pooler(StrEnum):
    """What stands between a service and its database."""

    NONE = "none"
    TRANSACTION = "transaction"
    PREPARING = "transaction-prepared"


@dataclass(frozen=True)
class Address:
    """A URL as PostgreSQL's drivers know it, and what stands before the server."""

    url: str
    pooler: Pooler

    def __repr__(self) -> str:
        """The URL holds a password."""
        return f"Address(..., {self.pooler!r})"

    @property
    def keeps_statements(self) -> bool:
        """Whether a statement that was prepared on a connection is there the next time."""
        return self.pooler is not Pooler.TRANSACTION

    @property
    def can_listen(self) -> bool:
        """Whether a connection stays with one session of the server, so that LISTEN hears something."""
        return self.pooler is Pooler.NONE


def address_of(url: str) -> Address:
    """What the URL says. Raises ValueError when it names a pooler that we do not know."""
    parts = urlsplit(url)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    named = [value for name, value in parameters if name == PARAMETER]
    if not named:
        return Address(url, Pooler.NONE)
    if named[-1] not in set(Pooler):
        raise ValueError(f"{PARAMETER} in the URL of a database is one of {', '.join(Pooler)}")
    query = urlencode([(name, value) for name, value in parameters if name != PARAMETER], safe="/")
    bare, _, _ = url.partition("?")  # urlunsplit drops the slashes of an empty place, which URLs of a Unix socket have
    return Address(f"{bare}?{query}" if query else bare, Pooler(named[-1]))


def listening_url(database_url: str, listen_url: str | None) -> str | None:
    """Where to LISTEN: the direct way if there is one, the database's own if it can; None leaves it to the poll."""
    if listen_url is not None:
        return listen_url
    address = address_of(database_url)
    return address.url if address.can_listen else None
