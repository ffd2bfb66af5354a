"""Protocols of the peers: JSON of their own, and the Open Inference Protocol over REST and gRPC."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from benchmarks.protocols import GrpcProtocol, HttpProtocol, Request
from benchmarks.workloads import Workload

PROTO = Path(__file__).with_name("open_inference.proto")
LABEL, OUTPUT = "predict", "predict_proba"
FIELDS = "labels", "probabilities"
Answer = Sequence[Any]
"""Labels and rows of probabilities."""


class JsonProtocol(HttpProtocol):
    """Rows as lists in JSON, in one form for one row and many."""

    unready = b"is not ready yet"  # MLServer sends it with status 400.

    def __init__(self, path: str, encode: Callable[[Any], Any], decode: Callable[[Any], Answer] = itemgetter(*FIELDS)) -> None:
        """`encode` turns a matrix into a document, `decode` reads the answer."""
        self._path, self._encode, self._decode = path, encode, decode

    def request(self, _folder: Path, workload: Workload, count: int) -> Request:
        """See HttpProtocol."""
        body = json.dumps(self._encode(matrix(workload, count))).encode()
        return Request(
            self._path, body, _reader(workload, lambda answer: self._decode(json.loads(answer))), workload.expected(count)
        )


def matrix(workload: Workload, count: int) -> Any:
    """The first rows of a workload as an array."""
    return np.asarray(workload.rows(count), dtype=float)


def _reader(workload: Any, decode: Callable[[bytes], Answer]) -> Callable[[bytes], list[list[float]]]:
    """Reads numbers from an answer as a drafted workload expects them."""
    codes = workload.codes
    return lambda answer: [[codes[label], *row] for label, row in zip(*decode(answer), strict=True)]


def v2_document(rows: Any) -> Any:
    """A matrix as a JSON request of the Open Inference Protocol."""
    tensor = {"name": "rows", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    return {"inputs": [tensor], "outputs": [{"name": LABEL}, {"name": OUTPUT}]}


def v2_answer(document: Any) -> Answer:
    """What a JSON answer of the Open Inference Protocol holds."""
    found = {output["name"]: output for output in document["outputs"]}
    return np.ravel(found[LABEL]["data"]).tolist(), np.reshape(found[OUTPUT]["data"], found[OUTPUT]["shape"]).tolist()


class V2GrpcProtocol(GrpcProtocol):
    """The Open Inference Protocol over gRPC, with rows as raw bytes."""

    def request(self, _folder: Path, workload: Workload, count: int) -> Request:
        """See HttpProtocol."""
        rows = matrix(workload, count)
        infer: Any = message("ModelInferRequest")(model_name=workload.name, id="1", raw_input_contents=[rows.tobytes()])
        infer.inputs.add(name="rows", datatype="FP64", shape=rows.shape)
        infer.outputs.add(name=LABEL)
        infer.outputs.add(name=OUTPUT)
        path = "/inference.GRPCInferenceService/ModelInfer"
        return Request(path, infer.SerializeToString(), _reader(workload, _v2_read), workload.expected(count))


def _v2_read(answer: bytes) -> Answer:
    response: Any = message("ModelInferResponse").FromString(answer)
    raw = {output.name: held for output, held in zip(response.outputs, response.raw_output_contents, strict=False)}
    outputs = {output.name: output for output in response.outputs}
    texts = _texts(raw[LABEL]) if raw else outputs[LABEL].contents.bytes_contents
    flat = np.frombuffer(raw[OUTPUT]) if raw else np.array(outputs[OUTPUT].contents.fp64_contents)
    return [text.decode() for text in texts], flat.reshape(tuple(outputs[OUTPUT].shape)).tolist()


def _texts(raw: bytes) -> Iterator[bytes]:
    """The texts of a tensor, each after its length."""
    while raw:
        end = 4 + int.from_bytes(raw[:4], "little")
        yield raw[4:end]
        raw = raw[end:]


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
