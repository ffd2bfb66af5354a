"""The running bridge against its own OpenAPI document, and its docs pages."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from rest_bridge.openapi.refusals import REFUSALS
from tests.conftest import PROTOS
from tests.support.effort import THOROUGH, tries
from tests.support.iris import CLASSES, COLUMNS
from tests.support.models.candidates import add_steady
from tests.support.processes import Foretell, foretell
from tests.support.servers.clients import Clients

pytestmark = pytest.mark.slow

CONFIG = """
# The document allows a timeout of a microsecond, which ends in 504.
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "504"]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "504"{more}]

# No schema can say that columns have one length.
[[operations]]
include-path-regex = "/batch$"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "422", "504"{more}]

[generation]
# HTTP servers ignore unknown headers. Unknown names in a body have their own tests.
allow-extra-parameters = false
"""
JSON = {"content-type": "application/json"}
WHERE = ["inside", "beside"] if THOROUGH else ["inside"]
"""Layouts for the slow tests: both serve the document and the pages with the same code."""


@pytest.mark.parametrize("running", WHERE, indirect=True)
def test_schemathesis_finds_nothing(running: Foretell, tmp_path: Path) -> None:
    check_document(running.http, CONFIG.replace("{more}", ""), tmp_path, tries(6, 100))


def test_schemathesis_finds_nothing_in_control(tmp_path: Path) -> None:
    """A change may be impossible in the current state (400) or conflict with another one (409)."""
    add_steady(tmp_path / "models", 2 if THOROUGH else 1)  # The gates, for the version 2 of the examples, take long.
    with foretell(tmp_path / "models", "--control-http", "127.0.0.1:0") as running:
        (line,) = [line for line in running.banner.splitlines() if line.startswith("  control ")]
        url = line.split()[1].removesuffix("/docs")
        check_document(url, CONFIG.replace("{more}", ', "400", "409"'), tmp_path, tries(2, 50))


def check_document(url: str, text: str, folder: Path, examples: int) -> None:
    """Run schemathesis: responses agree with the document, for requests generated from it."""
    config = folder / "schemathesis.toml"
    config.write_text(text)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{url}/openapi.json"]
    command += ["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all"]
    command += ["--max-examples", str(examples), "--max-time", str(tries(10, 60)), "--seed", "1"]
    command += ["--continue-on-failure", "--no-color"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    tested = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert tested, done.stdout[-2000:]
    assert int(tested[1]) == int(tested[2]) > 5  # A busy machine manages few in the time.


@pytest.fixture(scope="module")
def document(clients: Clients) -> Any:
    return clients.http.get("/openapi.json").raise_for_status().json()


def test_document_follows_the_contract(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert (document["info"]["title"], document["info"]["version"]) == ("IRIS Classification", "0.1")
    assert document["info"]["contact"]["email"] == "iris@example.com"
    assert "![An iris](/contract/iris/v1/iris.svg)" in document["info"]["description"]
    assert set(document["paths"]) == {
        "/predict",
        "/predict/batch",
        "/models/iris/versions/{version}/predict",
        "/models/iris/versions/{version}/predict/batch",
        "/models/iris/aliases/{alias}/predict",
        "/models/iris/aliases/{alias}/predict/batch",
        "/healthz",
        "/readyz",
        "/models",
        "/contract",
        "/contract.binpb",
        "/contract/plain.binpb",
        "/contract/plain.zip",
        "/contract/iris/v1/iris.proto",
    }


def test_every_refusal_has_one_schema(document: Any) -> None:
    for path in (path for path in document["paths"] if "predict" in path):
        responses = document["paths"][path]["post"]["responses"]
        assert set(responses) == {"200", "default", *map(str, REFUSALS)}
        for status, response in responses.items():
            schema = response["content"]["application/json"]["schema"]
            names = [part["$ref"].rpartition("/")[2] for part in schema.get("oneOf", [schema])]
            assert names == (document_names(path) if status == "200" else ["Refusal"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_examples_of_refusals_are_real(document: Any, clients: Clients) -> None:
    for path in ("/predict", "/predict/batch"):
        operation = document["paths"][path]["post"]
        shown = {status: part["content"]["application/json"].get("example") for status, part in operation["responses"].items()}
        assert [status for status, example in shown.items() if not example] == ["200"]
        body = operation["requestBody"]["content"]["application/json"]["example"]
        assert clients.http.get(path).json() == shown["405"]
        assert clients.http.post(path, content="{}").json() == shown["415"]
        assert clients.http.post(path, json=body, headers={"x-request-timeout": "0"}).json() == shown["400"]
        assert clients.http.post(path, json=body, headers={"model-version": "9"}).json() == shown["404"]

        large = b" " * (4 * 1024 * 1024 + 1)
        assert clients.http.post(path, content=large, headers=JSON).json() == shown["413"]
    row = {"sepal_lenght": 0.2, "sepal_width": 2.0, "petal_length": 0.8, "petal_width": 1.0}
    examples = [document["paths"][path]["post"]["responses"]["422"] for path in ("/predict", "/predict/batch")]
    one, batch = (part["content"]["application/json"]["example"] for part in examples)
    assert clients.http.post("/predict", json=row).json() == one
    assert clients.http.post("/predict/batch", json={"rows": [row]}).json() == batch
    assert [problem["type"] for problem in one["detail"]] == ["unknown_field", "required", "double.gte_lte"]
    assert (
        clients.http.post("/models").json()
        == document["paths"]["/models"]["get"]["responses"]["405"]["content"]["application/json"]["example"]
    )


def document_names(path: str) -> list[str]:
    return ["iris.v1.ResponseBatch", "iris.v1.ResponseBatch.Columns"] if path.endswith("batch") else ["iris.v1.Response"]


def test_health_and_models_are_served(clients: Clients) -> None:
    assert clients.http.get("/healthz").json() == {"status": "live"}
    assert clients.http.get("/readyz").json() == {"status": "ready"}
    models = clients.http.get("/models").json()
    (model,) = models["models"]
    assert (model["aliases"], model["generation"]) == (["production"], 1)
    (following,) = models["following"]
    assert (following["name"], following["generation"], following["refused"]) == ("iris", 1, None)
    assert (model["name"], model["version"], model["services"]) == ("iris", "1", ["iris.v1.IrisService"])
    assert (tuple(model["columns"]), tuple(model["classes"])) == (COLUMNS, CLASSES)
    assert re.fullmatch(r"[0-9a-f]{64}", model["digest"])


def test_contract_can_be_downloaded(clients: Clients) -> None:
    listed = clients.http.get("/contract").json()
    file, *imports = listed["files"]
    assert "/contract/google/rpc/error_details.proto" in imports
    assert clients.http.get(file).text == (PROTOS / "iris/v1/iris.proto").read_text()
    compiled = FileDescriptorSet.FromString(clients.http.get(listed["descriptor_set"]).content)
    assert "iris/v1/iris.proto" in {file.name for file in compiled.file}
    assert clients.http.get("/contract/iris/v1/iris.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("running", WHERE, indirect=True)
@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_docs_are_drawn_offline(running: Foretell, tmp_path: Path, page: str) -> None:
    log = tmp_path / "net.json"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--virtual-time-budget=10000"]
    command += ["--dump-dom", f"{running.http}/{page}"]
    browser = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    for text in ("IRIS Classification", "sepal length: 0 is 4.3 cm, 1 is 7.9 cm", "/predict/batch", "Iris team"):
        assert text in browser.stdout
    assert re.search(r'<img[^>]*src="/contract/iris/v1/iris.svg"', browser.stdout)
    assert "Content Security Policy" not in browser.stderr
    requested = set(re.findall(r'"url":"(https?://[^/"]+)', log.read_text()))
    # Chromium calls Google's hosts on its own.
    foreign = {host for host in requested if host != running.http and not re.search(r"google(apis)?\.com$", host)}
    assert foreign == set()


def test_pages_allow_no_inline_script(clients: Clients) -> None:
    for page in ("/docs", "/redoc"):
        response = clients.http.get(page)
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "script-src 'self';" in policy
        assert re.search(r"<script(?! src=)", response.text) is None
