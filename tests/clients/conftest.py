"""Fixtures of the client's tests: flowers, a gRPC server with a Predict of the test, and the oldest supported runtimes."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc
import pytest

from clients import generate
from foretell_client.stubs.iris.v1 import iris_pb2, iris_pb2_grpc
from tests.support.iris import EXAMPLE

FLOWER = iris_pb2.Features(**EXAMPLE)
BAD = iris_pb2.Features(**(EXAMPLE | {"petal_width": 1.7}))
ANSWER = iris_pb2.Response(setosa_probability=0.25, versicolor_probability=0.5, virginica_probability=0.25)

Predict = Callable[[iris_pb2.Features, grpc.ServicerContext], iris_pb2.Response]
Serving = Callable[..., AbstractContextManager[str]]


class Servicer(iris_pb2_grpc.IrisServiceServicer):
    """Answers each flower with `predict`."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict

    def Predict(self, request, context):
        return self._predict(request, context)

    def PredictStream(self, request_iterator, context):
        for request in request_iterator:
            yield self._predict(request, context)


@contextmanager
def serving(predict: Predict, target: str = "127.0.0.1:0") -> Iterator[str]:
    """Run a gRPC server with that Predict; yields its address."""
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    iris_pb2_grpc.add_IrisServiceServicer_to_server(Servicer(predict), server)
    port = server.add_insecure_port(target)
    server.start()
    try:
        yield target if target.startswith("unix:") else f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


class Flaky:
    """A Predict that fails a number of times, then answers."""

    def __init__(self, failures: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.calls = 0
        self._failures = failures
        self._code = code
        self._lock = threading.Lock()

    def __call__(self, request: iris_pb2.Features, context: grpc.ServicerContext) -> iris_pb2.Response:
        with self._lock:
            self.calls += 1
            fails = self.calls <= self._failures
        if fails:
            context.abort(self._code, "not now")
        return ANSWER


@pytest.fixture(scope="session")
def oldest() -> Path:
    """A Python interpreter with the oldest runtimes that the client supports."""
    try:
        return generate.tools()
    except subprocess.CalledProcessError:
        pytest.skip("the packages of clients/constraints.txt cannot be installed here")
