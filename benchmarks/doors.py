"""One request as each door takes it, and a plain client that checks its answer against scikit-learn."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import grpc
import numpy as np

from benchmarks.workloads import Workload
from foretell_contract.contract import load
from foretell_contract.service import Method

SECONDS = 60.0


class WrongAnswer(Exception):
    """A server answered something else than the model does."""


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes to send, and what must come back."""

    path: str
    body: bytes
    rows: Callable[[bytes], list[list[float]]]
    """Reads an answer."""
    expected: Any
    """What the model itself says."""

    def check(self, answer: bytes, bare: bytes | None, tolerance: float) -> None:
        """Raise WrongAnswer unless the answer is `bare`, or without it the model's own probabilities within `tolerance`."""
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


class Door(Protocol):
    """A way to ask a server."""

    generator: tuple[str, ...]
    """What h2load has to know about it."""

    def request(self, folder: Path, workload: Workload, count: int) -> Request:
        """`count` rows: one as it is, more as a batch."""

    def frame(self, body: bytes) -> bytes:
        """A request or an answer as it stands on the wire."""

    def ask(self, port: int, request: Request) -> bytes:
        """The answer, without its frame. Raises OSError while nobody is ready to answer, WrongAnswer for a refusal."""


class HttpDoor:
    """JSON over HTTP/1.1."""

    generator: tuple[str, ...] = ("--h1", "--header=content-type: application/json")
    unready = b""
    """What is in an answer that says, by another status than 503, that the server is not ready yet."""

    def request(self, _folder: Path, workload: Workload, count: int) -> Request:
        """See Door."""
        rows = [dict(zip(workload.columns, row, strict=True)) for row in workload.rows(count).tolist()]
        path = ("" if workload.name == "iris" else f"/{workload.name}") + ("/predict" if count == 1 else "/predict/batch")
        body = json.dumps(rows[0] if count == 1 else {"rows": rows}).encode()

        def read(answer: bytes) -> list[list[float]]:
            document = json.loads(answer)
            return [[row[name] for name in workload.fields] for row in document.get("rows", [document])]

        return Request(path, body, read, workload.estimator.predict_proba(workload.rows(count)))

    def frame(self, body: bytes) -> bytes:
        """See Door."""
        return body

    def ask(self, port: int, request: Request) -> bytes:
        """See Door."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("POST", request.path, request.body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE or (self.unready and self.unready in answer):
            raise ConnectionError(answer[:200].decode(errors="replace"))
        if response.status != http.HTTPStatus.OK:
            raise WrongAnswer(f"{request.path} answered {response.status}: {answer[:200]!r}")
        return answer


class GrpcDoor:
    """Unary gRPC calls, without TLS."""

    generator: tuple[str, ...] = ("--header=content-type: application/grpc", "--header=te: trailers")

    def request(self, folder: Path, workload: Workload, count: int) -> Request:
        """See Door: one row to Predict, more to PredictBatch."""
        method = _methods(folder / "protos")[f"{workload.package}.{'Predict' if count == 1 else 'PredictBatch'}"]
        rows = [dict(zip(workload.columns, row, strict=True)) for row in workload.rows(count).tolist()]
        message = method.request(**(rows[0] if count == 1 else {"rows": rows}))

        def read(answer: bytes) -> list[list[float]]:
            response: Any = method.response.FromString(answer)
            return [[getattr(row, name) for name in workload.fields] for row in ([response] if count == 1 else response.rows)]

        return Request(method.path, message.SerializeToString(), read, workload.estimator.predict_proba(workload.rows(count)))

    def frame(self, body: bytes) -> bytes:
        """See Door: not compressed, its length, itself."""
        return b"\0" + len(body).to_bytes(4, "big") + body

    def ask(self, port: int, request: Request) -> bytes:
        """See Door."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            try:
                call: Any = channel.unary_unary(request.path)
                answer: bytes = call(request.body, timeout=SECONDS)
            except grpc.RpcError as error:
                status: Any = error
                if status.code() is grpc.StatusCode.UNAVAILABLE:
                    raise ConnectionError(status.details()) from None
                raise WrongAnswer(f"{request.path} answered {status.code().name}: {status.details()}") from None
        return answer


@cache
def _methods(protos: Path) -> dict[str, Method]:
    """The methods of the contracts in a folder, by package and name."""
    return {f"{service.package}.{method.name}": method for service in load(protos).services for method in service.methods}
