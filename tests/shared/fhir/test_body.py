"""Stored bytes: what was sent comes back as it was written, with the server's id and meta."""

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.body import encode, may_have, same_content, with_meta

from tests.support.engine import NOW, Bench

META = b'"meta":{"versionId":"3","lastUpdated":"2026-11-21T20:54:00.000Z"'


def stored(body: bytes) -> bytes:
    return with_meta(body, orjson.loads(body), "p1", 3, NOW)


class TestWithMeta:
    @pytest.mark.parametrize(
        "member",
        [
            b'"valueDecimal":72.50', b'"valueDecimal":1e2', b'"valueDecimal":100.000000000000000000001',
            b'"birthDate":"1980-02"', b'"text":"\\u00e9 / \\/ \\ud83d\\ude00"', b'"a" : [ 1 ,\n2 ]',
            b'"nested":{"z":1.0,"a":2.00}', b'"issued":"2026-01-01T10:00:00.000+00:00"',
            b'"big":123456789012345678901234567890',
        ],
    )  # fmt: skip
    def test_g12_every_member_stays_byte_for_byte(self, member: bytes) -> None:
        value = member.partition(b":")[2].strip()
        assert value in stored(b'{"resourceType":"Basic",' + member + b"}")

    def test_meta_keeps_what_is_not_the_servers_byte_for_byte(self) -> None:
        sent = (
            b'{"meta":{"versionId":"9","tag":[{"code":"t"}],"lastUpdated":"2001-01-01T00:00:00Z",'
            b'"extension":[{"url":"urn:x","valueDecimal":72.50}],"source":"urn:s"},"resourceType":"Basic","id":"mine"}'
        )
        assert stored(sent) == (
            b'{"resourceType":"Basic","id":"p1",' + META + b',"tag":[{"code":"t"}],'
            b'"extension":[{"url":"urn:x","valueDecimal":72.50}],"source":"urn:s"}}'
        )

    @pytest.mark.parametrize(
        ("sent", "expected"),
        [
            (b'{"resourceType":"Basic","a":1.0}\n ', b'},"a":1.0}'),
            (b'{"resourceType":"Basic", "a" : [ 1 ] }', b'}, "a" : [ 1 ] }'),
            (b'{"resourceType":"Basic","\\u0069d":"mine","a":1.0}', b'},"a":1.0}'),
            (b'{"resourceType":"Basic","a":1.0,"met\\u0061":{"source":"urn:s"}}', b',"source":"urn:s"},"a":1.0}'),
            (b'{"resourceType":"Basic"}', b"}}"),
            (b'{ "resourceType":"Basic","a":1.0}', b'},"a":1.0}'),
        ],
    )
    def test_the_servers_id_and_meta_stand_first_and_once_however_it_is_spelt(
        self, sent: bytes, expected: bytes
    ) -> None:
        begun = b'{"resourceType":"Basic","id":"p1",' + META
        assert stored(sent) == begun + expected

    @given(st.lists(st.text(alphabet="abcdefgh", min_size=1), unique=True))
    def test_members_keep_their_order(self, names: list[str]) -> None:
        body = orjson.dumps({"resourceType": "Basic", **dict.fromkeys(names, 1)})
        assert list(orjson.loads(stored(body))) == ["resourceType", "id", "meta", *names]

    def test_a_decimal_in_the_meta_of_what_we_build_is_no_obstacle(self) -> None:
        built = {"resourceType": "Basic", "meta": {"extension": [{"url": "urn:x", "valueDecimal": Decimal("72.50")}]}}
        assert b"72.50" in with_meta(encode(built), built, "p1", 3, NOW)


class TestMayHave:
    @pytest.mark.parametrize(
        "body", [b'{"a":{"identifier":1}}', b'{"\\u0069dentifier":1}', b'{"a":"say \\"identifier\\""}']
    )
    def test_what_can_name_a_member_is_not_passed_over(self, body: bytes) -> None:
        assert may_have(body, b"identifier")

    def test_only_the_whole_name_counts(self) -> None:
        assert not may_have(b'{"identifiers":1,"a":"identifier or not"}', b"identifier")


class TestRoundTrip:
    async def test_g12_decimals_dates_and_order_survive_the_database(self, bench: Bench) -> None:
        sent = (
            b'{"resourceType":"Patient","id":"p1","birthDate":"1980-02","extension":[{"url":"urn:x",\n'
            b' "valueDecimal":72.50},{"valueDateTime":"2026-01-01T10:00:00.100+02:00","url":"urn:y"}],"active":true}'
        )
        await bench.update({"resourceType": "Patient", "id": "p1"})
        await interactions.update(bench.engine, bench.request("Patient", "p1", body=sent))
        expected = sent.replace(
            b',"birthDate"', b',"meta":{"versionId":"2","lastUpdated":"2026-11-21T20:54:00.000Z"},"birthDate"'
        )
        assert (await bench.read("Patient", "p1")).body == expected
        assert (await bench.vread("Patient", "p1", "2")).body == expected


class TestSameContent:
    def test_id_and_meta_do_not_matter_and_everything_else_does(self) -> None:
        kept = b'{"resourceType":"Basic","id":"a","meta":{"versionId":"1"},"code":{"text":"x"}}'
        assert same_content(kept, {"resourceType": "Basic", "code": {"text": "x"}})
        assert not same_content(kept, {"resourceType": "Basic", "code": {"text": "y"}})
        assert not same_content(kept, {"resourceType": "Basic", "code": {"text": "x"}, "language": "en"})
