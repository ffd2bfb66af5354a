"""The bridge in a process that cannot import any model library: predictions, refusals, pages."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.deployment.containers import announced
from tests.support.iris import EXAMPLE
from tests.support.processes import ROOT, grpc_server

pytestmark = pytest.mark.slow

HIDDEN = ("joblib", "pandas", "scipy", "sklearn", "skops")
SITE = f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN}:
            raise ModuleNotFoundError(f"{{name}} is hidden")

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which Python finds no model library."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(SITE)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORETELL_")}
    ours = {
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "FORETELL_PROTOS": str(ROOT / "protos"),
        "FORETELL_HTTP_ADDRESS": "127.0.0.1:0",
    }
    return inherited | ours


@pytest.fixture(scope="module")
def client(models: Path, environment: dict[str, str]) -> Iterator[httpx2.Client]:
    """A client of a bridge without model libraries; its server has them."""
    with grpc_server(models) as (_, target):
        command = [sys.executable, "-m", "rest_bridge", "--target", target]
        with (
            announced(command, environment) as (_, address),
            httpx2.Client(base_url=f"http://{address}", trust_env=False) as client,
        ):
            yield client


@pytest.mark.parametrize("module", [*HIDDEN, "grpc_server.runtimes.sklearn.estimator"])
def test_model_libraries_cannot_be_imported(environment: dict[str, str], module: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("is hidden\n")


def test_prediction_is_answered(client: httpx2.Client) -> None:
    answer = client.post("/predict", json=EXAMPLE)
    assert answer.status_code == 200
    assert answer.headers["model-name"] == "iris"


def test_bad_prediction_is_refused_with_its_rule(client: httpx2.Client) -> None:
    answer = client.post("/predict", json=EXAMPLE | {"sepal_length": -1})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "sepal_length"]


def test_models_are_listed(client: httpx2.Client) -> None:
    assert [model["name"] for model in client.get("/models").json()["models"]] == ["iris"]


def test_api_is_documented(client: httpx2.Client) -> None:
    assert "/predict" in client.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/healthz", "/readyz", "/contract", "/contract.binpb", "/contract/plain.zip"])
def test_page_is_served(client: httpx2.Client, path: str) -> None:
    assert client.get(path).status_code == 200
