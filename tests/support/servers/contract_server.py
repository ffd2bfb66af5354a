"""Serves generated contracts, each with a model that has exactly its columns."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from foretell_contract.contract import Contract, load
from foretell_contract.fields import Kind
from foretell_contract.rows.columns import leaves
from foretell_contract.service import Service
from grpc_server.calls.batcher import Batcher
from grpc_server.loading.version import Model
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import FLOAT64, Dtype, Rows
from grpc_server.rows.outputs import Output
from grpc_server.rows.targets import Target
from grpc_server.workers.cost import Cost, Placement
from tests.support.fakes import MANIFEST, hosting
from tests.support.generated_contracts import GeneratedMessage
from tests.support.servers.many_models import BridgedServer, serving

HEAD = """
syntax = "proto3";
package made.v1;
import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
message Response { double value = 1; }
message Responses { repeated Response rows = 1; }
"""
_ROW = "service S{0} {{ rpc Predict({0}) returns (Response); }}\n"
_BATCH = "message {0}Batch {{ repeated {0} rows = 1; }}\nservice S{0} {{ rpc PredictBatch({0}Batch) returns (Responses); }}\n"


@contextmanager
def serve_contracts(generated: Sequence[GeneratedMessage], *, batch: bool = False) -> Iterator[BridgedServer]:
    """One server with a service for each message of features, whose only method takes a row or a batch."""
    services = [_BATCH.format(each.name) if batch else _ROW.format(each.name) for each in generated]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "made/v1/made.proto"
        file.parent.mkdir(parents=True)
        file.write_text(HEAD + "".join(each.declared for each in generated) + "".join(services))
        contract, bridge_contract = load(Path(folder)), load(Path(folder))
    registry = hosting(contract, [model(contract, service) for service in contract.services])
    with serving(registry, bridge_contract) as server:
        yield server


def dtype(kind: Kind) -> Dtype:
    return Dtype("object") if kind in (Kind.TEXT, Kind.BYTES) else FLOAT64


def model(contract: Contract, service: Service) -> Model:
    """A model with the columns of the contract; it answers each row with its number of columns."""
    fields = leaves(service.methods[0].features, contract.rules, contract.options)
    columns = [column for leaf in fields for column in leaf.columns]
    dtypes = [
        dtype(leaf.kind) if leaf.keys == (None,) or leaf.kind is Kind.TEXT else _spread(leaf)
        for leaf in fields
        for _ in leaf.columns
    ]
    facts: Any = {"dtypes": dtypes, "targets": (Target("", ()),), "outputs": (Output("value"),)}
    bindings = {method.name: MethodBinding(contract, method, columns, (), **facts) for method in service.methods}

    def predict(given: Rows) -> Any:
        width = given.shape[1] if isinstance(given, np.ndarray) else len(given.columns)
        assert width == len(columns)
        return np.full((len(given), 1), float(width))

    batcher = Batcher([predict], max_rows=64, max_waiting=10_000, inline=True)
    cost = Cost(0.0001, math.inf)
    return Model(service.model, "1", MANIFEST, service, bindings, batcher, cost, Placement.INLINE, workers=1)


def _spread(leaf: Any) -> Dtype:
    """Bytes of a fixed length make number columns; bytes in a list do not."""
    return FLOAT64 if leaf.kind is Kind.BYTES and leaf.spread.value == "octets" else dtype(leaf.kind)
