"""Malformed bytes over gRPC and HTTP: the server keeps running, leaks nothing, and serves the next caller."""

import asyncio
import json
import random
import socket
from collections import Counter
from typing import Any

import grpc
import pytest

from tests.support.effort import tries
from tests.support.iris import COLUMNS, EXAMPLE
from tests.support.processes import Foretell
from tests.support.servers.clients import Clients

pytestmark = pytest.mark.slow

SEED = 20_261_123
MESSAGES, BODIES = tries(1_600, 20_000), tries(250, 1_000)


def mutated(message: bytes, dice: random.Random) -> bytes:
    """The message with a few bytes flipped, cut, doubled or inserted."""
    data = bytearray(message)
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0:
                data[place:place] = dice.randbytes(dice.randint(1, 8))
            case 1:
                del data[place : place + dice.randint(1, 8)]
            case 2:
                data[place:place] = data[dice.randrange(len(data) + 1) :]
            case 3 if data:
                data[place % len(data)] ^= 1 << dice.randrange(8)
            case _ if data:
                data[place % len(data)] = dice.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(data[:2000])


@pytest.mark.parametrize("running", ["inside"], indirect=True)  # gRPC calls do not pass the bridge, wherever it is.
async def test_mutated_messages_are_answered_or_refused(running: Foretell, clients: Clients) -> None:
    dice = random.Random(SEED)
    row = clients.features(EXAMPLE).SerializeToString()
    batch = clients.methods["PredictBatch"].request(rows=[EXAMPLE] * 3).SerializeToString()
    codes: Counter[str] = Counter()
    async with grpc.aio.insecure_channel(running.grpc) as channel:
        calls: Any = [
            (channel.unary_unary(clients.methods[name].path), seed) for name, seed in (("Predict", row), ("PredictBatch", batch))
        ]

        async def worker(count: int) -> None:
            for number in range(count):
                call, seed = calls[number % 2]
                try:
                    await call(mutated(seed, dice), timeout=30)
                    codes["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    codes[error.code().name] += 1

        await asyncio.gather(*(worker(MESSAGES // 16) for _ in range(16)))
    assert set(codes) == {"OK", "INVALID_ARGUMENT"}, codes
    assert codes.total() == MESSAGES
    assert codes["OK"] > MESSAGES // 200, "mutations that are never answered prove little"
    assert len(clients.grpc_rows([EXAMPLE])) == 1


def hostile_bodies(dice: random.Random) -> list[bytes]:
    """Known traps, and mutations of valid bodies."""
    good = json.dumps(EXAMPLE)
    traps: list[bytes] = [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\x00",
        b"\xff\xfe",
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 10_000,
        b"1e999999",
        json.dumps(EXAMPLE).encode("utf-16"),
        b"\xef\xbb\xbf" + good.encode(),
        b'{"\\ud800": 1}',
        b'{"petal_width": "\\ud800"}',
        b'{"petal_width": 1, "petal_width": 2}',
        b'{"__proto__": {}, "constructor": 1}',
        b'{"petal_width": ' + b"1" * 400 + b"}",
        b'{"petal_width": -0.0}',
        b'{"petal_width": 0x10}',
        b'{"petal_width": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"rows": ' + b"[{}," * 1000 + b"{}]" + b"}",
        b'{"' + b"x" * 1_000_000 + b'": 1}',
        json.dumps({"rows": [{"x": "y" * 50}] * 5000}).encode(),
        json.dumps([EXAMPLE] * 1000).encode(),
        b"eval('1')",
        b"__import__('os').system('true')",
    ]
    for trap in (None, True, "1", "NaN", [], {}, 1e308, -1e308, 10**400, "\ud800", "\r\n\x1b[31m"):
        for column in COLUMNS:
            traps.append(json.dumps(EXAMPLE | {column: trap}).encode())
            traps.append(json.dumps({"rows": [EXAMPLE, EXAMPLE | {column: trap}]}).encode())
    while len(traps) < BODIES:
        traps.append(mutated(good.encode(), dice))
    return traps


def test_connection_survives_hostile_bodies(running: Foretell) -> None:
    """A server that closed the connection after a refusal would fail the next request on it."""
    host, port = running.http.removeprefix("http://").split(":")
    good = json.dumps(EXAMPLE).encode()
    statuses: Counter[int] = Counter()
    with socket.create_connection((host, int(port)), timeout=30) as connection, connection.makefile("rb") as reader:
        for number, body in enumerate(hostile_bodies(random.Random(SEED))):
            path = "/predict/batch" if number % 2 else "/predict"
            status, answer = exchange(connection, reader, path, body)
            statuses[status] += 1
            assert status in (200, 413, 415, 422), (status, body[:100])
            assert len(answer) < 16_384
            assert exchange(connection, reader, "/predict", good)[0] == 200
    assert statuses[422] > 0.9 * BODIES


def exchange(connection: socket.socket, reader: Any, path: str, body: bytes) -> tuple[int, bytes]:
    """Send one request; return status and body of its response."""
    head = f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    status = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    answer = reader.read(length)
    assert b"Traceback" not in answer
    assert b"/site-packages" not in answer
    return status, answer


def test_raw_bytes_harm_no_other_connection(running: Foretell, clients: Clients) -> None:
    host, port = running.http.removeprefix("http://").split(":")
    dice = random.Random(SEED)
    for _ in range(50):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(dice.randbytes(200) + b"\r\n\r\n")
    assert clients.http.get("/healthz").status_code == 200
