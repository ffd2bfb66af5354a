"""Workloads: trained models, their contracts, and rows to send."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVC

from foretell_contract.contract import load
from grpc_server.checks.add_model import add_model
from grpc_server.store.repository import Repository

ROOT = Path(__file__).parents[1]
IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
MOST_ROWS = 100_000
Matrix = NDArray[np.float64]

SKLEARN, ONNX, TREES, AUTO = "sklearn", "onnx", "trees", "auto"
"""Kinds of repositories: models as trained, or as `--accelerate` converted them."""


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """A trained classifier and data for requests."""

    name: str
    """Also the model's name and the contract's package."""
    columns: tuple[str, ...]
    estimator: Any
    data: Matrix
    """Values from 0 to 1, as the contract demands."""

    def rows(self, count: int) -> Matrix:
        """The first `count` rows of the data, repeated if there are fewer."""
        return np.resize(self.data, (count, len(self.columns)))

    @property
    def fields(self) -> list[str]:
        """Names of the response's fields, in the order of the model's output."""
        return [f"{name}_probability" for name in self.estimator.classes_]

    @property
    def package(self) -> str:
        """The contract's package."""
        return f"{self.name}.v1"


def iris() -> Workload:
    """The model of the post. scikit-learn 1.11 removes it; its replacement takes seven times as long per call."""
    data, target, names = _scaled(load_iris())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return Workload("iris", IRIS, SVC(probability=True, random_state=0).fit(data, names[target]), data)


def forest() -> Workload:
    """A random forest of 100 trees on the 30 columns of the breast cancer data."""
    bunch = load_breast_cancer()
    data, target, names = _scaled(bunch)
    estimator = RandomForestClassifier(100, random_state=0).fit(data, names[target])
    return Workload("cancer", tuple(name.replace(" ", "_") for name in bunch.feature_names), estimator, data)


def linear(width: int) -> Workload:
    """A cheap model on `width` generated columns, so that the cost of transporting them dominates."""
    made, target = make_classification(300, width, n_informative=4, n_redundant=0, random_state=0)
    data = _within(made)
    estimator = LogisticRegression().fit(data, np.array(["no", "yes"])[target])
    return Workload(f"linear{width}", tuple(f"column_{number}" for number in range(width)), estimator, data)


def _scaled(bunch: Any) -> tuple[Matrix, Any, Any]:
    return _within(bunch.data), bunch.target, bunch.target_names


def _within(data: Any) -> Matrix:
    scaled: Matrix = np.clip(minmax_scale(data), 0, 1)  # Rounding puts some values just above 1.
    return scaled


def prepare(folder: Path, workloads: Iterable[Workload], kinds: Iterable[str]) -> None:
    """Write into `folder`: `protos` and a repository per kind for Foretell, and `post` for the app of the post."""
    (folder / "post").mkdir(parents=True)
    workloads = tuple(workloads)
    for workload in workloads:
        joblib.dump((workload.estimator, workload.columns), folder / "post" / f"{workload.name}.joblib")
        proto = folder / "protos" / workload.name / "v1" / f"{workload.name}.proto"
        proto.parent.mkdir(parents=True)
        proto.write_text(_iris_contract() if workload.name == "iris" else _contract(workload))
    contract = load(folder / "protos")
    for workload in workloads:
        file = folder / f"{workload.name}.joblib"
        joblib.dump(workload.estimator, file)
        for kind in kinds:
            acceleration: Any = None if kind == SKLEARN else kind
            repository = Repository(folder / kind)
            add_model(repository, file, workload.name, workload.columns, acceleration=acceleration, contract=contract)


def stored(folder: Path, kind: str, name: str) -> tuple[str, bytes]:
    """Format and artifact of the model `name` in the repository of `kind`."""
    repository = Repository(folder / kind)
    bundle = repository.read(name, repository.latest(name))
    return bundle.manifest.format, bundle.artifact


def _iris_contract() -> str:
    """The iris contract of this project, with larger batches."""
    text = (ROOT / "protos/iris/v1/iris.proto").read_text()
    raised = text.replace("repeated.max_items = 10000\n", f"repeated.max_items = {MOST_ROWS}\n")
    if raised == text:
        raise RuntimeError("the iris contract has no `repeated.max_items = 10000` to raise")
    return raised


def _contract(workload: Workload) -> str:
    """A contract with the methods and rules of the iris contract."""
    rules = "[(buf.validate.field).required = true, (buf.validate.field).double = { gte: 0, lte: 1 }]"
    features = "".join(f"  optional double {name} = {number} {rules};\n" for number, name in enumerate(workload.columns, 1))
    response = "".join(f"  double {name} = {number};\n" for number, name in enumerate(workload.fields, 1))
    methods = "".join(
        f"  rpc {name}({takes}) returns ({gives}) {{\n"
        f'    option (google.api.http) = {{ post: "/{workload.name}{path}" body: "*" }};\n  }}\n'
        for name, takes, gives, path in (
            ("Predict", "Features", "Response", "/predict"),
            ("PredictBatch", "FeaturesBatch", "ResponseBatch", "/predict/batch"),
        )
    )
    most = f"[(buf.validate.field).repeated = {{ min_items: 1, max_items: {MOST_ROWS} }}]"
    return (
        f'syntax = "proto3";\npackage {workload.package};\n'
        'import "buf/validate/validate.proto";\nimport "foretell/v1/options.proto";\nimport "google/api/annotations.proto";\n'
        f"service {workload.name.capitalize()}Service {{\n{methods}}}\n"
        f"message Features {{\n{features}}}\nmessage Response {{\n{response}}}\n"
        f"message FeaturesBatch {{\n  repeated Features rows = 1 {most};\n}}\n"
        "message ResponseBatch {\n  repeated Response rows = 1;\n}\n"
    )
