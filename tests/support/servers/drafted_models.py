"""Serves models behind the contracts that `foretell init` drafts for them."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import pytest
from google.protobuf import json_format
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.errors import SetupError
from tests.support.servers.estimator_answers import assert_close
from tests.support.servers.many_models import BridgedServer, as_document, served


def init(root: Path, name: str, estimator: Any, *arguments: str | Path, protos: str = "protos") -> Result:
    """Runs `foretell init` on an estimator, with contracts and models under `root`; the estimator itself serves by default."""
    joblib.dump(estimator, root / f"{name}.joblib")
    options = ["--protos", root / protos, "--models", root / "models"]
    options += [] if "--accelerate" in arguments else ["--accelerate", "no"]
    return CliRunner().invoke(app, ["init", *map(str, (root / f"{name}.joblib", *arguments, *options))], catch_exceptions=False)


def draft(root: Path, name: str, estimator: Any, *arguments: str | Path) -> None:
    """Adds an estimator and its contract to those under `root`, drafted apart: `init` would compile the others again."""
    done = init(root, name, estimator, *arguments, protos="apart")
    assert done.exit_code == 0, done.output
    shutil.copytree(root / "apart", root / "protos", dirs_exist_ok=True)
    shutil.rmtree(root / "apart")


def refusal(root: Path, name: str, estimator: Any, *arguments: str | Path) -> str:
    """The one line in which `foretell init` refuses an estimator."""
    with pytest.raises(SetupError) as refused:
        init(root, name, estimator, *arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@contextmanager
def serving_drafts(root: Path) -> Iterator[BridgedServer]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")  # The server ignores it too.
        with served(root / "protos", root / "models") as server:
            yield server


def answers_by_both_doors(server: BridgedServer, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to JSON rows, which must be the same over gRPC and REST, but for rounding."""
    method = server.methods[f"{name}.Predict"]
    answers = server.grpc(method, [json_format.ParseDict(row, method.request()) for row in rows])
    over_rest = [response.json() for response in server.rest(method, rows)]
    over_grpc = [answer if isinstance(answer, Exception) else as_document(answer) for answer in answers]
    assert_close(over_grpc, over_rest)
    return over_rest
