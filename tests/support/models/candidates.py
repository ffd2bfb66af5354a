"""Iris models for tests: versions that answer with their number, and versions with one fault each."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from onnx import TensorProto, helper

from foretell_contract.contract import Contract
from grpc_server.calls.admission import Admission
from grpc_server.loading.loader import Loader
from grpc_server.rows.mixed_rows import Matrix
from grpc_server.settings import ServerSettings
from grpc_server.store.manifest import GOLDEN, Manifest
from grpc_server.store.repository import Repository, sha256
from grpc_server.store.route_table import PRODUCTION, Attribution, RouteTable
from grpc_server.store.route_table_files import RouteTableFiles
from grpc_server.versions.served_model import ServedModel
from tests.support.iris import CLASSES, COLUMNS, EXAMPLE

AUTHOR = Attribution("kim", "a test", datetime(2026, 1, 2, tzinfo=UTC))


class Steady:
    """Gives every row the same answer, whose probability of setosa identifies the version. Added as ONNX; subclasses as joblib."""

    classes_ = np.array(CLASSES)
    n_features_in_ = 4

    def __init__(self, setosa: float) -> None:
        self.setosa = setosa

    def predict_proba(self, rows: Matrix) -> Any:
        return np.tile([self.setosa, 1 - self.setosa, 0.0], (len(rows), 1))


def graph(setosa: float) -> bytes:
    """`Steady` in ONNX, which a process loads without importing scikit-learn."""
    nothing = helper.make_tensor("nothing", TensorProto.DOUBLE, [4, 3], [0.0] * 12)
    answer = helper.make_tensor("answer", TensorProto.DOUBLE, [3], [setosa, 1 - setosa, 0.0])
    nodes = [
        helper.make_node("MatMul", ["rows", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "answer"], ["probabilities"]),
    ]
    rows = helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, 4])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, [None, 3])
    made = helper.make_graph(nodes, "steady", [rows], [probabilities], [nothing, answer])
    written: bytes = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    return written


class Pickled(Steady):
    """Has an artifact that is bound to a version of scikit-learn."""


class Slow(Steady):
    def predict_proba(self, rows: Matrix) -> Any:
        time.sleep(0.2)
        return super().predict_proba(rows)


class Wandering(Steady):
    def predict_proba(self, rows: Matrix) -> Any:
        os.chdir("/proc/self")
        return super().predict_proba(rows)


class NotANumber(Steady):
    def predict_proba(self, rows: Matrix) -> Any:
        return super().predict_proba(rows) * np.nan


class Words(Steady):
    def predict_proba(self, rows: Matrix) -> Any:
        return np.full((len(rows), 3), "a third")


class Crashing(Steady):
    def predict_proba(self, rows: Matrix) -> Any:
        segfault()


class Hanging(Steady):
    def predict_proba(self, rows: Matrix) -> Any:
        hang()


class Narrow(Steady):
    n_features_in_ = 3


class Backwards(Steady):
    classes_ = np.array(CLASSES[::-1])


class CallsOnLoad:
    """Its pickle calls a function when it is loaded."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call, ()


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    threading.Event().wait()


def hang_with_gil(started: Path) -> None:
    """Create a file, then hang without releasing the GIL."""
    started.touch()
    sum(itertools.repeat(0))


def hang_after(started: Path) -> None:
    """Create a file, then hang."""
    started.touch()
    hang()


def exit_quietly() -> None:
    raise SystemExit("enough")


def golden(setosa: float) -> bytes:
    probabilities = dict(zip(CLASSES, (setosa, 1 - setosa, 0.0), strict=True))
    return json.dumps({"features": EXAMPLE, "probabilities": probabilities}).encode()


def pickled(model: object) -> bytes:
    written = BytesIO()
    joblib.dump(model, written)
    return written.getvalue()


def add(root: Path, model: object, rows: bytes = b"", name: str = "iris", **facts: Any) -> str:
    """Add a model without checks, with golden `rows` as JSON lines; the version. `facts` override the manifest's."""
    format_name, artifact = ("onnx", graph(model.setosa)) if type(model) is Steady else ("joblib", pickled(model))
    file = f"model.{format_name}"
    files = {file: artifact} | ({GOLDEN: rows} if rows else {})
    manifest = Manifest(
        format=format_name,
        artifact=file,
        files={entry: sha256(data) for entry, data in files.items()},
        **{"libraries": {}, "columns": COLUMNS, "classes": CLASSES, "created": datetime.now(UTC)} | facts,
    )
    return Repository(root).add(name, manifest, files)


def add_steady(root: Path, count: int) -> None:
    """Add versions 1 to `count`; version n answers setosa with n / 100."""
    for number in range(1, count + 1):
        add(root, Steady(number / 100), golden(number / 100))


def change(root: Path, edit: Callable[[RouteTable], RouteTable]) -> RouteTable:
    return RouteTableFiles(Repository(root)).change("iris", edit)


def promote(root: Path, version: str, alias: str = PRODUCTION) -> RouteTable:
    return change(root, lambda routes: routes.promote(version, alias, AUTHOR))


def rollback(root: Path) -> RouteTable:
    return change(root, lambda routes: routes.rollback(PRODUCTION, AUTHOR))


def loader(root: Path, contract: Contract, **settings: Any) -> Loader:
    protos = Path(__file__).parents[3] / "protos"
    return Loader("iris", contract, ServerSettings(models=root, protos=protos, **settings), Admission())


def until(served: ServedModel, condition: Callable[[], bool]) -> None:
    """Waits for a change of the served model after which `condition`, called under its lock, is true."""
    event = threading.Event()
    before = served.on_change

    def changed() -> None:
        before()
        event.set()

    def holds() -> bool:
        with served.lock:
            return condition()

    served.on_change = changed
    try:
        while not holds():
            assert event.wait(60), f"{served.rollout} {served.last_refusal}"
            event.clear()
    finally:
        served.on_change = before
