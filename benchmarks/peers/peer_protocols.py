"""Protocols of the peers: JSON of their own, and the Open Inference Protocol over REST and gRPC."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from benchmarks.protocols import GrpcProtocol, HttpProtocol, Request
from benchmarks.workloads import Workload

PROTO = Path(__file__).with_name("open_inference.proto")
OUTPUT = "predict_proba"


class JsonProtocol(HttpProtocol):
    """Rows as lists in JSON, in one form for one row and many."""

    unready = b"is not ready yet"  # MLServer sends it with status 400.

    def __init__(self, path: str, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
        """`encode` turns a matrix into a document, `decode` reads the lists of probabilities from the answer."""
        self._path, self._encode, self._decode = path, encode, decode

    def request(self, _folder: Path, workload: Workload, count: int) -> Request:
        """See WireProtocol."""
        rows = workload.rows(count)
        body = json.dumps(self._encode(rows)).encode()
        read: Callable[[bytes], list[list[float]]] = lambda answer: self._decode(json.loads(answer))  # noqa: E731
        return Request(self._path, body, read, workload.estimator.predict_proba(rows))


def v2_document(rows: Any) -> Any:
    """A matrix as a JSON request of the Open Inference Protocol."""
    tensor = {"name": "rows", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    return {"inputs": [tensor], "outputs": [{"name": OUTPUT}]}


def v2_probabilities(document: Any) -> Any:
    """The matrix in a JSON answer of the Open Inference Protocol."""
    (output,) = document["outputs"]
    return np.reshape(output["data"], output["shape"]).tolist()


class V2GrpcProtocol(GrpcProtocol):
    """The Open Inference Protocol over gRPC, with rows as raw bytes."""

    def request(self, _folder: Path, workload: Workload, count: int) -> Request:
        """See WireProtocol."""
        rows = workload.rows(count)
        infer: Any = message("ModelInferRequest")(model_name=workload.name, id="1", raw_input_contents=[rows.tobytes()])
        infer.inputs.add(name="rows", datatype="FP64", shape=rows.shape)
        infer.outputs.add(name=OUTPUT)
        path = "/inference.GRPCInferenceService/ModelInfer"
        return Request(path, infer.SerializeToString(), _v2_read, workload.estimator.predict_proba(rows))


def _v2_read(answer: bytes) -> list[list[float]]:
    response: Any = message("ModelInferResponse").FromString(answer)
    (output,) = response.outputs
    raw = response.raw_output_contents
    flat = np.frombuffer(raw[0]) if raw else np.array(output.contents.fp64_contents)
    rows: list[list[float]] = flat.reshape(tuple(output.shape)).tolist()
    return rows


@cache
def message(name: str) -> Any:
    """A message class of the protocol."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        if protoc.main(["protoc", f"-I{PROTO.parent}", f"--descriptor_set_out={out}", PROTO.name]):
            raise RuntimeError(f"{PROTO} does not compile")
        compiled = FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in compiled.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}"))
