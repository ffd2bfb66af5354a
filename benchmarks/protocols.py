"""Builds requests for REST and gRPC, sends them with plain clients, and checks answers against scikit-learn."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.workloads import Workload
from foretell_contract.contract import load
from foretell_contract.service import Method

SECONDS = 60.0


class WrongAnswer(Exception):
    """A server refused a call, or its answer differs from the model's."""


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes to send, and the expected answer."""

    path: str
    body: bytes
    rows: Callable[[bytes], list[list[float]]]
    """Reads the numbers of each row from an answer."""
    expected: Any
    """Those of the model itself, shape (rows, numbers)."""

    def check(self, answer: bytes, bare: bytes | None, tolerance: float) -> None:
        """Raise WrongAnswer unless the answer equals `bare` or, if that is None, has the model's numbers within `tolerance`."""
        if bare is not None:
            if answer != bare:
                raise WrongAnswer(f"{self.path} answered {answer[:80]!r} instead of {bare[:80]!r}")
            return
        try:
            rows = np.array(self.rows(answer))
        except (KeyError, TypeError, ValueError) as error:
            raise WrongAnswer(f"{self.path} answered {answer[:200]!r}") from error
        if rows.shape != self.expected.shape or not np.allclose(rows, self.expected, rtol=0, atol=tolerance):
            raise WrongAnswer(f"{self.path} is wrong: the first row is {rows[:1].tolist()}, not {self.expected[:1].tolist()}")


class HttpProtocol:
    """JSON over HTTP/1.1."""

    generator: tuple[str, ...] = ("--h1", "--header=content-type: application/json")
    """Arguments of h2load."""
    unready = b""
    """Text of an answer that means "not ready" although its status is not 503."""

    def request(self, _folder: Path, workload: Workload, count: int) -> Request:
        """A request of `count` rows: one alone, more as a batch."""
        rows = workload.records(count)
        path = workload.path + ("" if count == 1 else "/batch")
        body = json.dumps(rows[0] if count == 1 else {"rows": rows}).encode()

        def read(answer: bytes) -> list[list[float]]:
            document = json.loads(answer)
            return [workload.numbers(row.__getitem__) for row in document.get("rows", [document])]

        return Request(path, body, read, workload.expected(count))

    def frame(self, body: bytes) -> bytes:
        """The bytes of a request or an answer on the wire."""
        return body

    def send(self, port: int, *requests: Request) -> list[bytes]:
        """Send requests one after another; the unframed answers. Raises OSError while the server is not ready, else WrongAnswer."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            return [self._answer(connection, request) for request in requests]
        finally:
            connection.close()

    def _answer(self, connection: http.client.HTTPConnection, request: Request) -> bytes:
        connection.request("POST", request.path, request.body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE or (self.unready and self.unready in answer):
            raise ConnectionError(answer[:200].decode(errors="replace"))
        if response.status != http.HTTPStatus.OK:
            raise WrongAnswer(f"{request.path} answered {response.status}: {answer[:200]!r}")
        return answer


class GrpcProtocol:
    """Unary gRPC calls, without TLS."""

    generator: tuple[str, ...] = ("--header=content-type: application/grpc", "--header=te: trailers")

    def request(self, folder: Path, workload: Workload, count: int) -> Request:
        """One row to Predict, more to PredictBatch."""
        method = _methods(folder / "protos")[f"{workload.package}.{'Predict' if count == 1 else 'PredictBatch'}"]
        rows = workload.records(count)
        message = method.request(**(rows[0] if count == 1 else {"rows": rows}))

        def read(answer: bytes) -> list[list[float]]:
            response: Any = method.response.FromString(answer)
            return [workload.numbers(partial(getattr, row)) for row in ([response] if count == 1 else response.rows)]

        return Request(method.path, message.SerializeToString(), read, workload.expected(count))

    def frame(self, body: bytes) -> bytes:
        """A length-prefixed message: the flag for no compression, the length, the message."""
        return b"\0" + len(body).to_bytes(4, "big") + body

    def send(self, port: int, *requests: Request) -> list[bytes]:
        """As over HTTP."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            return [self._answer(channel, request) for request in requests]

    def _answer(self, channel: grpc.Channel, request: Request) -> bytes:
        try:
            call: Any = channel.unary_unary(request.path)
            answer: bytes = call(request.body, timeout=SECONDS)
        except grpc.RpcError as error:
            status: Any = error
            if status.code() is grpc.StatusCode.UNAVAILABLE:
                raise ConnectionError(status.details()) from None
            raise WrongAnswer(f"{request.path} answered {status.code().name}: {status.details()}") from None
        return answer


WireProtocol = HttpProtocol | GrpcProtocol


@cache
def _methods(protos: Path) -> dict[str, Method]:
    """The methods of the contracts in a folder, by package and name."""
    return {f"{service.package}.{method.name}": method for service in load(protos).services for method in service.methods}
