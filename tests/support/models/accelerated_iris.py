"""Iris with rows scaled to 0..1, for tests of conversions."""

import json
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_iris
from sklearn.preprocessing import minmax_scale

from foretell_contract.contract import Contract
from grpc_server.checks.add_model import add_model
from grpc_server.checks.added_version import Added
from grpc_server.checks.probe_rows import ColumnRanges
from grpc_server.rows.mixed_rows import FLOAT64, Matrix
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.repository import Repository
from tests.support.iris import CLASSES, COLUMNS

IRIS = load_iris()
X, Y = minmax_scale(IRIS.data), IRIS.target_names[IRIS.target]
NONE = np.zeros(4, dtype=bool)
UNIT = ColumnRanges(np.zeros(4), np.ones(4), NONE, NONE)


def add(repository: Repository, classifier: Any, acceleration: Any, contract: Contract | None, golden: bytes = b"") -> Added:
    repository.root.mkdir(exist_ok=True)
    file = repository.root.parent / "model.joblib"
    joblib.dump(classifier, file)
    return add_model(repository, file, "iris", COLUMNS, golden, acceleration=acceleration, contract=contract)


def golden_rows(classifier: Any) -> bytes:
    lines = [
        {
            "features": dict(zip(COLUMNS, row.tolist(), strict=True)),
            "probabilities": dict(zip(CLASSES, answer.tolist(), strict=True)),
        }
        for row, answer in zip(X[::30], classifier.predict_proba(X[::30]), strict=True)
    ]
    return "\n".join(map(json.dumps, lines)).encode()


def first_answers(runtime: Runtime, rows: Matrix) -> Matrix:
    """The answers of its first source: the probabilities of a classifier, the values of a regressor."""
    return runtime.sources([FLOAT64] * runtime.width, rows[:1], [CLASSES])[0].run(rows)
