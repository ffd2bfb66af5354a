"""Workloads on hand-made contracts: trained models, their contracts, and rows to send."""

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from grpc_server.store.repository import Bundle, Repository

ROOT = Path(__file__).parents[1]
IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
MOST_ROWS = 100_000
Matrix = NDArray[np.float64]

SKLEARN, ONNX, TREES, AUTO = "sklearn", "onnx", "trees", "auto"
"""Kinds of repositories: models as trained, or as `--accelerate` converted them."""
DEFAULT = "models"
"""The repository that commands without `--models` use; its models come as they are added without flags."""
AS_TRAINED, CONVERTED = 1e-12, 1e-6
"""Largest differences from the model's own numbers; the second is what `--accelerate` promises."""


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """A trained classifier and data for requests."""

    name: str
    """Also the model's name and the contract's package."""
    columns: tuple[str, ...]
    estimator: Any
    data: Any
    """Values from 0 to 1, as the contract demands."""
    known: Matrix | None = None
    """The expected numbers of the data, if they were computed before."""

    def rows(self, count: int) -> Any:
        """The first `count` rows of the data, repeated if there are fewer."""
        return np.resize(self.data, (count, len(self.columns)))

    def records(self, count: int) -> list[dict[str, Any]]:
        """The same as values by field."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows(count).tolist()]

    def expected(self, count: int) -> Matrix:
        """What the model itself says of the same, as `numbers` reads it from an answer."""
        return self.predictions(self.rows(count)) if self.known is None else self.known[:count]

    def predictions(self, rows: Any) -> Matrix:
        """The model's own numbers for rows: probabilities."""
        found: Matrix = self.estimator.predict_proba(rows)
        return found

    def numbers(self, value: Callable[[str], Any]) -> list[float]:
        """The numbers in one answer, from a function that gives the value of a field."""
        return [value(name) for name in self.fields]

    def single_rows(self) -> "Iterator[Workload]":
        """A workload of one row for every row of the data."""
        known = self.predictions(self.data)
        return (replace(self, data=self.data[i : i + 1], known=known[i : i + 1]) for i in range(len(known)))

    @property
    def fields(self) -> list[str]:
        """Names of the response's probabilities, in the order of the model's output."""
        return [f"{name}_probability" for name in self.estimator.classes_]

    @property
    def package(self) -> str:
        """The contract's package."""
        return f"{self.name}.v1"

    @property
    def path(self) -> str:
        """The REST path of one row; `/batch` behind it takes many."""
        return "/predict" if self.name == "iris" else f"/{self.name}/predict"

    def post_app(self) -> tuple[Any, ...]:
        """The arguments with which the post's app serves the model."""
        return self.path, self.estimator, dict.fromkeys(self.columns, "scaled"), self.fields

    def add(self, folder: Path, kinds: Iterable[str]) -> None:
        """Write the contract into `folder`, and add the model there to a repository per kind."""
        proto = folder / "protos" / self.name / "v1" / f"{self.name}.proto"
        proto.parent.mkdir(parents=True)
        proto.write_text(_iris_contract() if self.name == "iris" else _contract(self))
        contract = load(folder / "protos")
        for kind in kinds:
            acceleration: Any = "no" if kind == SKLEARN else kind
            file = folder / f"{self.name}.joblib"
            add_model(Repository(folder / kind), file, self.name, self.columns, acceleration=acceleration, contract=contract)


class Shipped(Workload):
    """The model of `make serve`, on the contract of this repository; as `post` the model of the post's app beside it."""

    __slots__ = ()

    def add(self, folder: Path, _kinds: Iterable[str]) -> None:
        """Do what `make serve` does before it serves; nothing for the model that only the post's app has."""
        if self.name == "post":
            return
        for name in (".venv", "examples", "protos"):
            (folder / name).symlink_to(ROOT / name)
        run(folder, ["make", "--file", str(ROOT / "Makefile"), "--assume-old=.venv/runtime.stamp", "models/iris"])


def iris() -> Workload:
    """The model of the post. scikit-learn 1.11 removes it; its replacement takes seven times as long per call."""
    data, target, names = _scaled(load_iris())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return Workload("iris", IRIS, SVC(probability=True, random_state=0).fit(data, names[target]), data)


def shipped() -> Workload:
    """The model of `make serve`."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), [sys.executable, str(ROOT / "examples/iris/train.py"), folder])
        return Shipped("iris", IRIS, joblib.load(Path(folder) / "model.joblib"), _scaled(load_iris())[0])


def post_only() -> Workload:
    """The post's model for the post's app alone."""
    post = iris()
    return Shipped("post", post.columns, post.estimator, post.data)


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


def prepare(folder: Path, workloads: Iterable[Workload], kinds: Sequence[str]) -> None:
    """Write into `folder`: contracts and repositories for Foretell, and `post` for the app of the post."""
    (folder / "post").mkdir(parents=True)
    for workload in workloads:
        joblib.dump(workload.post_app(), folder / "post" / f"{workload.name}.joblib")
        joblib.dump(workload.estimator, folder / f"{workload.name}.joblib")
        workload.add(folder, kinds)


def run(folder: Path, command: list[str]) -> None:
    """Run a command in `folder`. Raises RuntimeError with the end of its output if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-500:]}")


def stored(folder: Path, kind: str, name: str) -> Bundle:
    """The model `name` in the repository of `kind`."""
    repository = Repository(folder / kind)
    return repository.read(name, repository.latest(name))


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
