"""What nobody should send, sent over sockets to a real process: no 5xx, and bounded seconds, CPU and memory.

Each answer of 400 and more is an OperationOutcome with a request id, and afterwards the service works as before.
"""

import asyncio
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.suite import Suite, running_suite

MIB = 1024 * 1024
CPU_SECONDS_MAX = 2.0  # for one request; the machine of a test run is slow and shared
MEMORY_GROWTH_MAX = 256 * MIB
NESTED = 20_000

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One HTTP answer read off a socket; status 0 where the connection was closed without one."""

    status: int
    head: bytes = b""
    body: bytes = b""

    def is_clear(self) -> bool:
        """Neither a fault, nor a refusal that is not FHIR."""
        if self.status < 400:
            return 200 <= self.status < 300
        is_outcome = json.loads(self.body)["resourceType"] == "OperationOutcome"
        return self.status < 500 and is_outcome and b"\r\nx-request-id: " in self.head.lower()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running_suite(tmp_path_factory.mktemp("hostile"), ["screening"]) as running:
        yield running


@dataclass
class Screening:
    """The process under attack, and what it costs."""

    port: int
    pid: int
    token: str

    async def send(self, data: bytes, seconds: float = 30) -> Answer:
        """Writes bytes as they are and reads one answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=64 * MIB)
        try:
            async with asyncio.timeout(seconds):
                try:
                    writer.write(data)
                    await writer.drain()
                except ConnectionError:
                    pass  # it answered before it had read everything
                return await read_answer(reader)
        finally:
            writer.close()

    def request(
        self, method: str, target: bytes, body: bytes = b"", *, headers: bytes = b"", form: bool = False
    ) -> bytes:
        kind = b"application/x-www-form-urlencoded" if form else b"application/fhir+json"
        head = b"%b /screening/fhir/%b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n" % (
            method.encode(), target, self.token.encode()
        )  # fmt: skip
        length = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (kind, len(body)) if body else b""
        return head + length + headers + b"\r\n" + body

    async def measured(self, data: bytes) -> tuple[Answer, float]:
        """The answer and the CPU seconds that it took."""
        before = self.cpu_seconds()
        answer = await self.send(data)
        return answer, self.cpu_seconds() - before

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """The most that was ever resident."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0)
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    size = int(lengths[0].partition(b":")[2]) if lengths else 0
    return Answer(int(head.split()[1]), head, await reader.readexactly(size))


@pytest.fixture
async def screening(suite: Suite) -> Screening:
    async with suite.clinic() as clinic:
        return Screening(suite.deployment.ports["screening"], suite.processes.pid_of("screening"), await clinic.token())


def patient(more: bytes) -> bytes:
    return b'{"resourceType":"Patient",' + more + b"}"


def response(more: bytes) -> bytes:
    return b'{"resourceType":"QuestionnaireResponse","status":"completed",' + more + b"}"


def items(count: int, item: bytes) -> bytes:
    return b'"item":[' + b",".join([item] * count) + b"]"


NUMBERS = [
    b"1e400", b"-1e400", b"1e-400", b"9" * 10_000, b"0." + b"9" * 10_000, b"1e999999999", b"NaN", b"Infinity",
    b"-Infinity", b"-0", b"01", b"+1", b".5", b"1.", b"0x10", b"1_000", b"--1",
]  # fmt: skip
STRINGS = [
    rb'"\u0000"', b'"\x00"', rb'"\ud800"', rb'"\udc00\ud800"', rb'"\uDFFF"', b'"\xed\xa0\x80"', b'"\xff\xfe"',
    b'"\xc0\xaf"', b'"\xf8\x88\x80\x80\x80"', rb'"\u"', rb'"\x41"', b'"\n"', b'"\x1f"', b'"' + b"a" * 900_000 + b'"',
    b'""', b'" "',
    '"\u202e\ufeff\U0010ffff"'.encode(), b'"' + "e\u0301".encode() * 5000 + b'"', b'"%s%n{}${jndi:x}"',
    b"\"'; DROP TABLE x--\"",
]  # fmt: skip
SHAPES = {
    "objects": b'{"a":' * NESTED + b"1" + b"}" * NESTED,
    "arrays": b"[" * NESTED + b"]" * NESTED,
    "open arrays": b"[" * 500_000,
    "nested items": response(b'"item":[{"linkId":"1",' * NESTED + b'"x":1' + b"}]" * NESTED),
    "nested extensions": patient(b'"extension":[{"url":"x",' * NESTED + b'"valueString":"1"' + b"}]" * NESTED),
    "nested contained": patient(b'"contained":[{"resourceType":"Patient",' * 500 + b'"active":true' + b"}]" * 500),
    "duplicate keys": patient(b'"active":true,"active":false'),
    "a type twice": b'{"resourceType":"Patient","resourceType":"Task"}',
    "many keys": patient(b",".join(b'"k%d":1' % number for number in range(60_000))),
    "a long key": patient(b'"' + b"k" * 900_000 + b'":1'),
    "empty names": patient(b'"name":[' + b",".join([b"{}"] * 100_000) + b"]"),
    "null names": patient(b'"name":[' + b",".join([b"null"] * 100_000) + b"]"),
    "many identifiers": patient(b'"identifier":[' + b",".join([b'{"value":"1"}'] * 60_000) + b"]"),
    "many items": response(items(33_000, b'{"linkId":"1"}')),
    "items without end": response(items(100_000, b"{}")),
    "many answers": response(b'"item":[{"linkId":"/44250-9","answer":[' + b",".join([b"{}"] * 100_000) + b"]}]"),
    "a narrative": patient(b'"text":{"status":"generated","div":"' + b"<div>" * 90_000 + b'"}'),
    "entities": patient(
        b'"text":{"status":"generated","div":"<!DOCTYPE d [<!ENTITY a \\"aaaa\\"><!ENTITY b \\"&a;&a;&a;\\">]>'
        b'<div xmlns=\\"http://www.w3.org/1999/xhtml\\">&b;</div>"}'
    ),
    "a utf-16 body": '{"resourceType":"Patient"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + b'{"resourceType":"Patient"}',
    "two resources": b'{"resourceType":"Patient"}{"resourceType":"Patient"}',
    "prototype": patient(b'"__proto__":{"admin":true},"constructor":{}'),
    "a date": patient(b'"birthDate":"' + b"9" * 10_000 + b'"'),
    "a long id": patient(b'"id":"' + b"x" * 100_000 + b'"'),
    "a future": patient(b'"birthDate":"9999-12-31"'),
    "a past": patient(b'"birthDate":"0000-00-00"'),
    "white space": b" " * 1_000_000 + b"{}",
    "a questionnaire": b'{"resourceType":"Questionnaire",' + items(33_000, b'{"linkId":"1","type":"group"}') + b"}",
}  # fmt: skip


def bodies() -> dict[str, tuple[bytes, bytes]]:
    """Name -> (address, body)."""
    found = {
        name: (b"QuestionnaireResponse" if b"Response" in body[:60] else b"Patient", body)
        for name, body in SHAPES.items()
    }
    places = [b'"multipleBirthInteger":%b', b'"extension":[{"url":"http://x","valueDecimal":%b}]', b'"active":%b']
    for number in NUMBERS:
        for place in places:
            found[f"number {number[:12]!r} in {place[:12]!r}"] = (b"Patient", patient(place % number))
        item = b'"item":[{"linkId":"/44261-6","answer":[{"valueDecimal":%b}]}]' % number
        found[f"number {number[:12]!r} in an answer"] = (b"QuestionnaireResponse", response(item))
    for string in STRINGS:
        for place in [
            b'"name":[{"family":%b}]',
            b'"id":%b',
            b'"birthDate":%b',
            b'"identifier":[{"system":%b,"value":%b}]',
            b"%b:1",
        ]:
            body = patient(place.replace(b"%b", string))
            found[f"string {string[:14]!r} in {place[:9]!r}"] = (b"Patient", body)
    return found


def addresses() -> list[bytes]:
    """Targets of GET below the service's base."""
    strange = [
        b"%", b"%zz", b"%00", b"%c0%af", b"%ff%fe", b"%ed%a0%80", b"..%2f..%2fetc%2fpasswd", b"a" * 65,
        b"a" * 5000, b"-",
        b"%20", b"%0d%0aSet-Cookie:%20a=1", b"\xff\xfe", b"\xc3\xa4", b"%F0%9F%98%80", b"'%20OR%201=1--", b"a/b/c/d/e",
        b"//", b"?" * 50,
    ]  # fmt: skip
    found = [
        prefix + each
        for each in strange
        for prefix in (b"", b"Patient/", b"Patient/x/_history/", b"Patient?_id=", b"Patient?")
    ]
    names = [
        b"family",
        b"family:exact",
        b"family:contains",
        b"identifier",
        b"birthdate",
        b"gender",
        b"_lastUpdated",
        b"_count",
        b"_sort",
        b"_id",
    ]
    values = [
        b"%00", b"%ff", b"%ed%a0%80", b"|", b"a|b|c|d", b"," * 1000, b"\\", b"\\" * 999, b"eq",
        b"ge9999-99-99", b"ge0000", b"-1", b"9" * 500, b"1e400", b"NaN", b"%25%25%25",
        b"__________", b"a" * 9000, b"gt", b"le2020-01-01T99:99:99Z", b"$", b"",
    ]  # fmt: skip
    found += [b"Patient?%b=%b" % (name, value) for name in names for value in values]
    found += [
        b"Patient?" + b"&".join([b"family=a"] * 1000),
        b"Patient?" + b"&".join(b"x%d=1" % number for number in range(1000)),
        b"Patient?family=" + b",".join([b"a"] * 7000),
        b"Task?" + b".".join([b"patient:Patient"] * 500) + b".family=a",
        b"Task?" + b"_has:Task:patient:" * 300 + b"status=x",
        b"Task?patient.organization.partof.partof.partof.partof.partof.name=a",
        b"Patient?_include=*&_revinclude=*&_count=100000000",
        b"Patient?_sort=" + b",".join([b"family,-family"] * 500),
        b"Patient?_elements=" + b",".join([b"name"] * 3000),
        b"Patient?family:contains=" + b"%25" * 3000,
        b"Patient?_filter=" + b"(" * 5000,
        b"Patient?_cursor=" + b"A" * 4000,
        b"Patient?_format=" + b"x" * 4000,
    ]
    return found


def searches() -> list[bytes]:
    """Forms for POST _search, which may be longer than an address."""
    return [
        b"family=" + b",".join([b"a"] * 10_000),
        b"identifier=" + b",".join(b"urn:x|%d" % number for number in range(10_000)),
        b"_id=" + b",".join(b"p%d" % number for number in range(50_000)),
        b"birthdate=" + b",".join(b"ge19%02d" % (number % 100) for number in range(10_000)),
        b"&".join([b"family=a"] * 1000),
        b"&".join([b"identifier=a|b"] * 1000),
        b"&".join([b"birthdate=ge1900"] * 1000),
        b"family=" + b"%00",
        b"family=\xff\xfe",
        b"&" * 100_000,
        b"a=" * 100_000,
        b"=" * 100_000,
    ]


class TestHostileInputs:
    async def test_no_body_makes_the_service_fail_or_work_for_long(self, screening: Screening) -> None:
        before, costly = screening.memory_bytes(), {}
        unclear = {}
        for name, (target, body) in bodies().items():
            answer, seconds = await screening.measured(screening.request("POST", target, body))
            if not answer.is_clear():
                unclear[name] = answer.status
            if seconds > CPU_SECONDS_MAX:
                costly[name] = seconds
        assert (unclear, costly) == ({}, {})
        assert screening.memory_bytes() - before < MEMORY_GROWTH_MAX

    async def test_no_address_and_no_search_makes_the_service_fail_or_work_for_long(self, screening: Screening) -> None:
        requests = {each[:60]: screening.request("GET", each) for each in addresses()}
        requests |= {each[:60]: screening.request("POST", b"Patient/_search", each, form=True) for each in searches()}
        before, unclear, costly = screening.memory_bytes(), {}, {}
        for name, request in requests.items():
            answer, seconds = await screening.measured(request)
            if not answer.is_clear():
                unclear[name] = answer.status
            if seconds > CPU_SECONDS_MAX:
                costly[name] = seconds
        assert (unclear, costly) == ({}, {})
        assert screening.memory_bytes() - before < MEMORY_GROWTH_MAX

    @pytest.mark.parametrize("bomb", [b" " * 200 * MIB, b"not packed at all"], ids=["bomb", "no-gzip"])
    async def test_what_is_packed_is_not_unpacked(self, screening: Screening, bomb: bytes) -> None:
        before = screening.memory_bytes()
        body = gzip.compress(bomb, 1) if len(bomb) > MIB else bomb
        answer = await screening.send(
            screening.request("POST", b"Patient", body, headers=b"Content-Encoding: gzip\r\n")
        )
        assert answer.status == 415
        assert answer.is_clear()
        assert screening.memory_bytes() - before < 32 * MIB

    async def test_ten_megabytes_are_refused_in_words_that_arrive(self, screening: Screening) -> None:
        answer = await screening.send(screening.request("POST", b"Patient", b" " * 10 * MIB))
        assert answer.status == 413
        assert answer.is_clear()

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
            (b"Content-Length: -5\r\n\r\n", 400),
            (b"Content-Length: 5, 5\r\n\r\nhello", 400),
            (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
            (b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
            (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
            (b"Content-Length : 5\r\n\r\nhello", 400),
            (b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
            (b"Content-Length: +5\r\n\r\nhello", 400),
            (b"Content-Length: 5 5\r\n\r\nhello", 400),
            (b"Content-Length: 0x5\r\n\r\nhello", 400),
            (b"Content-Length:\r\n\r\n", 400),
            (b"Content-Length: 99999999999999999999\r\n\r\n", 400),
            (b"Content-Length: 5\r\n\nhello", 400),
            (b"Content-Length: 0\n\n", 400),
            (b"X: a\nContent-Length: 0\r\n\r\n", 400),
            (b"X: a\rb\r\nContent-Length: 0\r\n\r\n", 400),
            (b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
            (b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
            (b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 400),
            (b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
            (b"Transfer-Encoding: chunked\r\nContent-Length:\r\n\r\n0\r\n\r\n", 400),
            (b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n", 400),
            (b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
            (b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
            (b"Transfer-Encoding: chunked\r\n\r\n0\n\n", 400),
            (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", 400),
            (b": x\r\nContent-Length: 0\r\n\r\n", 400),
            (b"X\r\nContent-Length: 0\r\n\r\n", 400),
            (b"X: a\r\n folded\r\n\r\n", 400),
            (b"X: a\x00b\r\n\r\n", 400),
            (b"X\xff: a\r\n\r\n", 400),
            (b"X: " + b"y" * 70_000, 431),
            (b"X: " + b"y" * 40_000 + b"\r\n\r\n", 431),
            (b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n", 431),
        ],
    )
    async def test_a_head_that_two_readers_could_read_in_two_ways_is_refused(
        self, screening: Screening, head: bytes, status: int
    ) -> None:
        start = screening.request("POST", b"Patient").removesuffix(b"\r\n") + b"Content-Type: application/fhir+json\r\n"
        answer = await screening.send(start + head)
        assert answer.status == status
        assert answer.is_clear()
        assert b"connection: close" in answer.head.lower() or status == 431

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET /screening/fhir/metadata HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET /screening/fhir/metadata HTTP/1.1\r\n Host: a\r\n\r\n", 400),
            (b"GET /screening/fhir/meta\rdata HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET\t/screening/fhir/metadata HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /screening/fhir/metadata HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
            (b"GET /screening/fhir/" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            (b"GET /screening/fhir/Patient?x=" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ],
    )
    async def test_an_address_or_host_that_two_readers_could_read_in_two_ways_is_refused(
        self, screening: Screening, request_: bytes, status: int
    ) -> None:
        answer = await screening.send(request_)
        assert answer.status == status
        assert answer.is_clear()

    async def test_what_is_hidden_behind_a_request_is_not_answered(self, screening: Screening) -> None:
        """The front of a proxy sees one request where a lenient server would see two: here the connection ends."""
        hidden = b"GET /screening/fhir/metadata HTTP/1.1\r\nHost: a\r\n\r\n"
        start = screening.request("POST", b"Patient").removesuffix(b"\r\n") + b"Content-Type: application/fhir+json\r\n"
        for head in (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Content-Length: 0\r\nContent-Length: 55\r\n\r\n",
            b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            b"X: a\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", screening.port, limit=MIB)
            async with asyncio.timeout(30):
                writer.write(start + head + hidden)
                assert (await read_answer(reader)).status == 400
                assert (await read_answer(reader)).status == 0, head
            writer.close()

    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01",
            b"GET",
            b"\x00" * 100,
            b"FOO / HTTP/9.9\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    )
    async def test_what_is_no_http_is_no_fault(self, screening: Screening, data: bytes) -> None:
        answer = await screening.send(data + b"\r\n\r\n")
        assert answer.status in {0, 400, 404}

    async def test_g10_every_answer_has_a_date_and_an_id(self, screening: Screening) -> None:
        for method, target, status in (
            ("GET", b"Patient", 200),
            ("GET", b"Patient/x", 404),
            ("DELETE", b"_history", 405),
        ):
            answer = await screening.send(screening.request(method, target))
            assert answer.status == status
            names = [line.partition(b":")[0] for line in answer.head.lower().split(b"\r\n")]
            assert (names.count(b"date"), names.count(b"x-request-id")) == (1, 1)

    async def test_afterwards_it_works_as_before(self, suite: Suite, screening: Screening) -> None:
        async with suite.clinic() as clinic:
            person = await clinic.patient()
            assert (await clinic.submit(await clinic.form("phq-9", [1] * 8 + [0], person))).status_code == 201
        log = suite.processes.log_of("screening").read_text(encoding="utf-8")
        assert "Traceback" not in log
        assert '"level": "error"' not in log
