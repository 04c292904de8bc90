"""Bytes of a resource: the id and meta that the server gives are written into the JSON text once.

Everything else of the text stays as it was received, so that decimals and dates keep their precision.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from stepwell_shared.canonical import instant

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder(decimal_format="number")
_OF_SERVER = frozenset({"resourceType", "id", "meta"})
_META_OF_SERVER = frozenset({"versionId", "lastUpdated"})


def with_meta(body: bytes, resource: dict[str, Any], id_: str, version: int, last_updated: datetime) -> bytes:
    """The stored form: resourceType, id and meta first, the other members byte for byte as received.

    Tags, profiles and security labels of a received meta are kept; its version and time are replaced.
    """
    meta = b'"versionId":"%d","lastUpdated":"%b"' % (version, instant(last_updated).encode())
    begun = b'{"resourceType":%b,' % orjson.dumps(resource["resourceType"])
    if body.startswith(begun) and "id" not in resource and "meta" not in resource:
        # What most clients send to a create: the rest of it follows as a whole.
        return b'%b"id":%b,"meta":{%b},%b' % (begun, orjson.dumps(id_), meta, body[len(begun) :].rstrip())
    members = _members.decode(body)
    if "meta" in members:
        meta += _further(_members.decode(members["meta"]), _META_OF_SERVER)
    further = _further(members, _OF_SERVER)
    return b'%b"id":%b,"meta":{%b}%b}' % (begun, orjson.dumps(id_), meta, further)


def _further(members: dict[str, msgspec.Raw], without: frozenset[str]) -> bytes:
    """Members that follow others, as they were received."""
    return b"".join([b",%b%b" % (_named(name), value) for name, value in members.items() if name not in without])


@lru_cache(maxsize=1024)  # the names of R4 are few; a client's own are forgotten again
def _named(name: str) -> bytes:
    return orjson.dumps(name) + b":"


def may_have(body: bytes, member: bytes) -> bool:
    """Whether an object of the JSON text can have a member of this name, at any depth; False is certain."""
    return b'"%b"' % member in body or b"\\" in body


def encode(resource: dict[str, Any]) -> bytes:
    """JSON bytes of a resource that we built; Decimal values keep their written precision."""
    return _encoder.encode(resource)


def same_content(body: bytes, resource: dict[str, Any]) -> bool:
    """Whether a stored body says the same as a received resource, apart from id and meta."""
    kept = orjson.loads(body)
    apart = ("id", "meta")
    return {k: v for k, v in kept.items() if k not in apart} == {k: v for k, v in resource.items() if k not in apart}
