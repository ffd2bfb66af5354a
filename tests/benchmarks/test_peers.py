"""Peers of the benchmark: their requests, and bars against the best peer that ran."""

import json

import numpy as np
import pytest

from benchmarks import drafted
from benchmarks.cases import Load
from benchmarks.peers.__main__ import CASE, OURS
from benchmarks.peers.page import bars, page
from benchmarks.peers.peer_protocols import JsonProtocol, V2GrpcProtocol, matrix, message, v2_answer, v2_document
from benchmarks.peers.rows import HERE, PEERS, ROWS
from benchmarks.protocols import WrongAnswer
from benchmarks.rounds import Failure, Figures, Measured, Result
from benchmarks.workloads import Workload

LOAD = Load("iris", 1, 64)


@pytest.fixture(scope="module")
def iris() -> Workload:
    return drafted.iris()


def made(server: str, per_second: float) -> Result:
    return Result(0, PEERS, server, LOAD, Figures(per_second, 1.0, 1.0, 1.0))


def test_json_tensors_hold_labels_and_probabilities(iris: Workload) -> None:
    request = JsonProtocol("/", v2_document, v2_answer).request(HERE, iris, 3)
    (sent,) = json.loads(request.body)["inputs"]
    assert np.array_equal(np.reshape(sent["data"], sent["shape"]), matrix(iris, 3))
    outputs = [
        {"name": "predict_proba", "shape": [3, 3], "data": request.expected[:, 1:].ravel().tolist()},
        {"name": "predict", "shape": [3, 1], "data": ["setosa"] * 3},
    ]
    request.check(json.dumps({"outputs": outputs}).encode(), None, 1e-12)
    outputs[1]["data"] = ["setosa", "setosa", "virginica"]
    with pytest.raises(WrongAnswer):
        request.check(json.dumps({"outputs": outputs}).encode(), None, 1e-12)


def test_json_fields_hold_labels_and_probabilities(iris: Workload) -> None:
    request = JsonProtocol("/", lambda rows: {"rows": rows.tolist()}).request(HERE, iris, 3)
    answer = {"labels": ["setosa"] * 3, "probabilities": request.expected[:, 1:].tolist()}
    request.check(json.dumps(answer).encode(), None, 1e-12)


@pytest.mark.parametrize("raw", [True, False])
def test_grpc_tensors_hold_labels_and_probabilities(iris: Workload, raw: bool) -> None:
    request = V2GrpcProtocol().request(HERE, iris, 3)
    sent = message("ModelInferRequest").FromString(request.body)
    assert np.array_equal(np.frombuffer(sent.raw_input_contents[0]).reshape(sent.inputs[0].shape), matrix(iris, 3))
    response = message("ModelInferResponse")()
    label = response.outputs.add(name="predict", datatype="BYTES", shape=(3,))
    output = response.outputs.add(name="predict_proba", datatype="FP64", shape=(3, 3))
    probabilities = request.expected[:, 1:]
    if raw:
        response.raw_output_contents.extend([b"\6\0\0\0setosa" * 3, probabilities.tobytes()])
    else:
        label.contents.bytes_contents.extend([b"setosa"] * 3)
        output.contents.fp64_contents.extend(probabilities.ravel())
    request.check(response.SerializeToString(), None, 1e-12)


def test_bars_compare_with_the_best_peer() -> None:
    results = [made("MLServer REST", 50), made("KServe REST", 100), made("BentoML", 900), made(OURS[0], 250)]
    measured = Measured(results, [Failure(1, PEERS, "BentoML", "died")])
    found = {bar.says: bar.measured(results) for bar in bars(measured, CASE, OURS)}
    assert found[f"1 row a request, 64 callers, {OURS[0]}: req/s against the best peer"] == 2.5
    told = page(measured, CASE, OURS, "make bench-peers")
    assert "round 2, BentoML: died" in told


def test_every_peer_has_environment_and_server() -> None:
    for peer, server in ROWS:
        assert "==" in (HERE / f"{peer}.txt").read_text()
        assert (HERE / f"{peer}_server.py").is_file()
        assert server.cases == (PEERS,)
