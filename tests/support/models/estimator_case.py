"""A case of the estimator tests: an estimator, its contract, rows and answers; and what the cases are made with."""

from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import joblib
import numpy as np

from foretell_contract.contract import load
from grpc_server.checks.add_model import add_model
from grpc_server.checks.added_version import Added
from grpc_server.store.repository import Repository

ROWS = 200
Document = dict[str, Any]


@dataclass
class Case:
    """One estimator, served by the contract package of its name."""

    estimator: Any
    contract: str
    """The messages Features and Response, and the types that they use."""
    rows: list[Document]
    answers: list[Document]
    """The estimator's own answers as JSON of the contract's Response."""
    columns: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    dtypes: dict[str, Any] = field(default_factory=dict)


HEAD = """
syntax = "proto3";
package {package}.v1;
import "buf/validate/validate.proto";
import "foretell/v1/options.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
service Service { rpc Predict(Features) returns (Response); rpc PredictBatch(FeaturesBatch) returns (ResponseBatch); }
message FeaturesBatch { repeated Features rows = 1 [(buf.validate.field).repeated = {min_items: 1, max_items: 1000}]; }
message ResponseBatch { repeated Response rows = 1; }
"""


def add_case(root: Path, name: str, case: Case, golden: bytes = b"", acceleration: Any = "no") -> Added:
    """Write the contract `name` under `root/protos`, and add the model to `root/models`."""
    file = root / "protos" / name / "v1" / f"{name}.proto"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEAD.replace("{package}", name) + dedent(case.contract))
    joblib.dump(case.estimator, root / "model.joblib")
    repository = Repository(root / "models")
    named: dict[str, Any] = {"targets": case.targets, "dtypes": case.dtypes}
    contract = load(root / "protos") if acceleration != "no" else None
    return add_model(
        repository, root / "model.joblib", name, case.columns, golden, **named, acceleration=acceleration, contract=contract
    )


def numbers(seed: int, width: int) -> Any:
    return np.random.default_rng(seed).normal(size=(ROWS, width)).round(3)


def named(rows: Any, *names: str) -> list[Document]:
    return [dict(zip(names, row, strict=True)) for row in rows.tolist()]


def NUMBER(name: str, number: int) -> str:
    """A required field of a finite number."""
    return f"optional double {name} = {number} [(buf.validate.field) = {{required: true, double: {{finite: true, example: 0.5}}}}];"
