"""SIGTERM under load: every call that was accepted is answered."""

import asyncio
import json
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest

from foretell_contract.contract import Contract
from rest_bridge.http.server import GRACE_SECONDS
from tests.support.iris import EXAMPLE
from tests.support.processes import LAYOUTS, foretell

pytestmark = pytest.mark.slow

CALLERS = 8
WARM = 200
"""Answers before the signal is sent."""


class Load:
    """Counts outcomes of calls. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.warm = threading.Event()

    def note(self, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            if self.outcomes["OK"] >= WARM:
                self.warm.set()


@pytest.mark.parametrize("layout", ["inside", "two"])
def test_every_accepted_grpc_call_is_answered(steady: Path, contract: Contract, layout: str) -> None:
    """A call ends OK, or UNAVAILABLE without an effect, so that a retry is safe."""
    method = contract.services[0].methods[0]
    request = method.request(**EXAMPLE).SerializeToString()
    load = Load()

    def caller(address: str) -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            predict: Any = channel.unary_unary(method.path)
            while True:
                future = predict.future(request, timeout=20)
                error = future.exception()
                load.note("OK" if error is None else error.code().name)
                if error is not None:
                    return

    with foretell(steady, *LAYOUTS[layout][0]) as running:
        callers = [threading.Thread(target=caller, args=(running.grpc,)) for _ in range(CALLERS)]
        for thread in callers:
            thread.start()
        assert load.warm.wait(60)
        assert running.stop(signal.SIGTERM) == 0
        for thread in callers:
            thread.join(30)
    assert load.outcomes.keys() <= {"OK", "UNAVAILABLE"}, load.outcomes
    assert load.outcomes["UNAVAILABLE"] == CALLERS


@pytest.mark.parametrize("layout", ["inside", "beside", "two"])
def test_every_accepted_rest_request_is_answered(steady: Path, layout: str) -> None:
    """Each reply of a stopping bridge closes its connection, so that no request goes into a closing one."""
    body = json.dumps(EXAMPLE).encode()
    head = f"POST /predict HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    load = Load()

    def caller(host: str, port: int) -> None:
        while True:
            try:
                connection = socket.create_connection((host, port), timeout=20)
            except OSError:
                load.note("connection refused")
                return
            with connection, connection.makefile("rb") as reader:
                fresh, sent = True, time.monotonic()
                while True:
                    before = sent
                    try:
                        try:
                            connection.sendall(head + body)
                        finally:
                            sent = time.monotonic()
                        status, closing = answer(reader)
                    except OSError:
                        status, closing = 0, True
                    if not status and fresh and layout == "two":
                        # The kernel queued the connection on a port that closed at that moment.
                        load.note("connection refused")
                        return
                    if not status and not fresh and sent - before > GRACE_SECONDS:
                        # A busy machine held this thread up, and an idle connection closes after the grace period.
                        break
                    fresh = False
                    load.note("OK" if status == 200 else f"status {status}")
                    if status != 200:
                        return
                    if closing:
                        break

    with foretell(steady, *LAYOUTS[layout][0]) as running:
        host, port = running.http.removeprefix("http://").split(":")
        callers = [threading.Thread(target=caller, args=(host, int(port))) for _ in range(CALLERS)]
        for thread in callers:
            thread.start()
        assert load.warm.wait(60)
        assert running.stop(signal.SIGTERM) == 0
        for thread in callers:
            thread.join(30)
    assert load.outcomes.keys() == {"OK", "connection refused"}, load.outcomes
    assert load.outcomes["connection refused"] == CALLERS


def answer(reader: Any) -> tuple[int, bool]:
    """Status of a reply (0 if the connection broke), and whether it closes the connection."""
    line = reader.readline()
    if not line:
        return 0, True
    length, closing = 0, False
    while (header := reader.readline()) not in (b"\r\n", b""):
        name, _, value = header.lower().partition(b":")
        length = int(value) if name == b"content-length" else length
        closing = closing or (name == b"connection" and value.strip() == b"close")
    reader.read(length)
    return int(line.split()[1]), closing


async def test_stopping_server_answers_a_slow_batch() -> None:
    """In this process, where the model can be held inside its run while the server stops."""
    from tests.support.fakes import FakeRuntime, Held
    from tests.support.servers.grpc_in_process import served

    with Held() as held:
        async with served(FakeRuntime(held)) as stub:
            calls = [stub.predict(stub.features(**EXAMPLE))]
            await asyncio.to_thread(held.entered.acquire)
            calls += [stub.predict(stub.features(**EXAMPLE)) for _ in range(4)]
            await stub.until_waiting(4)
            stub.registry.admission.close()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.predict(stub.features(**EXAMPLE))
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            held.go()
            assert len(await asyncio.gather(*calls)) == 5
