"""The control service on Unix sockets, TCP and REST, and commands that find servers by these sockets."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx2
import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell.settings import ServeSettings
from foretell_contract.contract import Contract, load_control
from foretell_contract.errors import SetupError
from grpc_server.changes import peers
from grpc_server.store.repository import Repository
from grpc_server.store.route_table_files import RouteTableFiles
from tests.conftest import PROTOS
from tests.foretell.serve.test_serve_command import alive, children, until
from tests.support.models import candidates
from tests.support.models.candidates import add, add_steady
from tests.support.processes import ROOT, foretell

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def control() -> Contract:
    return load_control()


class ControlledServer(NamedTuple):
    """Two server processes of a repository with two versions, and their control addresses."""

    root: Path
    address: str
    http: httpx2.Client
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlledServer]:
    root = tmp_path_factory.mktemp("models")
    add_steady(root, 2)
    with foretell(root, "--processes", "2", "--control", "127.0.0.1:0", "--control-http", "127.0.0.1:0") as running:
        grpc_line, rest_line = [line.split()[1] for line in running.banner.splitlines() if line.startswith("  control ")]
        with httpx2.Client(base_url=rest_line.removesuffix("/docs"), timeout=60) as http:
            yield ControlledServer(root, grpc_line, http, running.process)


def ask(control: Contract, address: str, method: str, **fields: Any) -> Any:
    (service,) = control.services
    (asked,) = [each for each in service.methods if each.name == method]
    with grpc.insecure_channel(address) as channel:
        answer = channel.unary_unary(asked.path)(asked.request(**fields).SerializeToString(), timeout=60, wait_for_ready=True)
    return asked.response.FromString(answer)


def command(root: Path, *arguments: str) -> Result:
    options = ["--models", str(root)] + (["--protos", str(PROTOS)] if arguments[0] == "promote" else [])
    return CliRunner().invoke(app, [*arguments, *options])


def test_command_waits_for_all_processes(served: ControlledServer) -> None:
    root = served.root
    result = command(root, "promote", "iris", "1", "--no-check", "--json")
    told = json.loads(result.stdout)
    assert (told["server"], len(set(told["servers"]))) == ("served", 2)
    version = add(root, candidates.Crashing(0.5))
    refusal = command(root, "promote", "iris", version, "--no-check")
    assert isinstance(refusal.exception, SetupError)
    assert "(process " in str(refusal.exception)
    assert str(refusal.exception).endswith("; the change is undone")
    assert json.loads(command(root, "models", "--json").stdout)["models"][0]["version"] == "1"


def test_control_works_over_tcp_and_socket(served: ControlledServer, control: Contract) -> None:
    root, address = served.root, served.address
    changed = ask(control, address, "Promote", name="iris", version="2", wish={"who": "ci", "why": "May"})
    assert (changed.outcome, changed.aliases["production"], len(changed.servers)) == ("served", "2", 2)
    with peers.address(peers.running(root / ".control")[0].socket) as socket:
        assert ask(control, socket, "Rollback", name="iris").done == "production of iris is version 1 again"
        history = ask(control, socket, "History", name="iris")
    promoted, rolled_back = history.changes[-2:]
    assert (promoted.who, promoted.why, promoted.to) == ("ci (control)", "May", "2")
    assert (rolled_back.what, rolled_back.to) == ("rollback", "1")


@pytest.mark.parametrize(
    ("method", "fields", "code", "status"),
    [
        ("Promote", {"name": "iris", "version": "x"}, grpc.StatusCode.INVALID_ARGUMENT, 422),
        ("Canary", {"name": "iris", "version": "2", "share": 1.5}, grpc.StatusCode.INVALID_ARGUMENT, 422),
        ("History", {"name": "Rose"}, grpc.StatusCode.INVALID_ARGUMENT, 422),
        ("History", {"name": "r..e"}, grpc.StatusCode.INVALID_ARGUMENT, 422),
        ("Rollback", {"name": "iris", "alias": "A b"}, grpc.StatusCode.INVALID_ARGUMENT, 422),
        ("Promote", {"name": "iris", "version": "99"}, grpc.StatusCode.NOT_FOUND, 404),
        ("History", {"name": "rose"}, grpc.StatusCode.NOT_FOUND, 404),
        ("Rollback", {"name": "iris", "alias": "staging"}, grpc.StatusCode.FAILED_PRECONDITION, 400),
        ("Promote", {"name": "iris", "version": "2", "wish": {"generation": 0}}, grpc.StatusCode.ABORTED, 409),
    ],
)
def test_refusals_match_over_grpc_and_rest(
    served: ControlledServer, control: Contract, method: str, fields: dict[str, Any], code: grpc.StatusCode, status: int
) -> None:
    before = RouteTableFiles(Repository(served.root)).read("iris")
    with pytest.raises(grpc.RpcError) as refusal:
        ask(control, served.address, method, **fields)
    assert refusal.value.code() is code  # type: ignore[attr-defined]
    answer = served.http.post(f"/control/{method.lower()}", json=fields)
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])
    assert answer.json()["detail"][0]["msg"] in refusal.value.details()  # type: ignore[attr-defined]
    assert RouteTableFiles(Repository(served.root)).read("iris") == before


def test_apply_streams_each_gate(served: ControlledServer, control: Contract) -> None:
    (service,) = control.services
    (apply,) = [each for each in service.methods if each.name == "Apply"]
    wishes: list[Any] = [{"promote": {"name": "iris", "version": "1", "alias": "trial"}}, {}]
    with grpc.insecure_channel(served.address) as channel:
        told, refused = [
            channel.unary_stream(apply.path)(apply.request(**wish).SerializeToString(), timeout=60, wait_for_ready=True)
            for wish in wishes
        ]
        *steps, last = [apply.response.FromString(answer) for answer in told]
        with pytest.raises(grpc.RpcError) as refusal:
            next(refused)
    gates = ("digest", "load", "contract", "golden", "warm-up")
    assert [(step.passage.gate, step.passage.stage) for step in steps[:5]] == [(gate, "passed") for gate in gates]
    assert {step.passage.stage for step in steps[5:]} <= {"reached"}
    assert (last.changed.outcome, last.changed.aliases["trial"]) == ("served", "1")
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]


def test_rest_change_waits_for_servers(served: ControlledServer) -> None:
    changed = served.http.post(
        "/control/promote", json={"name": "iris", "version": "2", "alias": "trial", "wish": {"who": "ci", "no_check": True}}
    )
    told = changed.raise_for_status().json()
    assert (told["outcome"], told["aliases"]["trial"], len(told["servers"])) == ("served", "2", 2)
    assert told["generation"] == str(RouteTableFiles(Repository(served.root)).read("iris").generation)
    history = served.http.post("/control/history", json={"name": "iris"}).json()
    assert {name: history["changes"][-1][name] for name in ("who", "what", "alias", "to")} == {
        "who": "ci (control)",
        "what": "promote",
        "alias": "trial",
        "to": "2",
    }


def test_documented_call_works(served: ControlledServer) -> None:
    (shown,) = re.findall(r"`(curl [^`]+)`", (ROOT / "docs/guides/go-live.md").read_text())
    command = shlex.split(shown.replace("http://127.0.0.1:9001", str(served.http.base_url).rstrip("/")))
    done = subprocess.run([*command, "--silent", "--show-error"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["done"] == "production of iris is version 2"


def test_rest_refusal_names_the_gate(served: ControlledServer) -> None:
    version = add(served.root, candidates.Steady(0.5), candidates.golden(0.4))
    refusal = served.http.post("/control/promote", json={"name": "iris", "version": version})
    (problem,) = refusal.json()["detail"]
    assert (refusal.status_code, problem["type"], problem["ctx"]) == (400, "failed_precondition", {"gate": "golden"})
    assert "expected 0.400000" in problem["msg"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"host": "evil.example"}, 403, id="rebound"),
        pytest.param({"host": "127.0.0.1.evil.example:80"}, 403, id="prefix"),
        pytest.param({"host": "["}, 400, id="no-host"),
        pytest.param({"origin": "http://evil.example"}, 403, id="cross-site"),
        pytest.param({"origin": "null"}, 403, id="nowhere"),
        pytest.param({"content-type": "text/plain"}, 415, id="simple-request"),
        pytest.param({"content-type": "application/x-www-form-urlencoded"}, 415, id="form"),
        pytest.param({"host": "localhost:1", "origin": "http://localhost:1"}, 404, id="own-page"),
        pytest.param({"host": "[::1]:1"}, 404, id="six"),
    ],
)
def test_cross_site_requests_are_refused(served: ControlledServer, headers: dict[str, str], status: int) -> None:
    answer = served.http.post(
        "/control/rollback", content='{"name": "rose"}', headers={"content-type": "application/json"} | headers
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_control_has_own_openapi_and_docs(served: ControlledServer, control: Contract) -> None:
    document = served.http.get("/openapi.json").json()
    (service,) = control.services
    verbs = {path for method in service.methods for path in method.paths}
    assert {path for path, item in document["paths"].items() if "post" in item} == verbs
    assert len(verbs) == 6
    assert {"403", "409"} <= document["paths"]["/control/promote"]["post"]["responses"].keys()
    assert "model-version" not in json.dumps(document["paths"]["/control/promote"])
    assert "Foretell control" in served.http.get("/docs").text
    assert "service ControlService" in served.http.get("/contract/foretell/v1/control.proto").text
    assert served.http.get("/readyz").json() == {"status": "ready"}
    assert {model["name"] for model in served.http.get("/models").json()["models"]} == {"iris"}


def test_killed_control_bridge_restarts_on_port(served: ControlledServer) -> None:
    (killed,) = [pid for module, pid in children(served.process) if module == "foretell.serve.control_bridge"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: not alive(killed))

    def ready() -> bool:
        try:
            return served.http.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    until(ready)


def test_each_process_has_private_socket(served: ControlledServer) -> None:
    folder = served.root / ".control"
    found = peers.running(folder)
    assert len(found) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(peer.socket.stat().st_mode) for peer in found} == {0o600}


def test_files_of_dead_server_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    with peers.claim_socket(folder) as (_socket, lock):
        peers.announce(lock, "the first")
        (peer,) = peers.running(folder)
        assert peers.alive(peer)
    assert peers.running(folder) == []
    assert not peers.alive(peer)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"control": "0.0.0.0:7000"}, "control on 0.0.0.0:7000 would let anyone on the network change routes: listen on 127."),
        ({"control": "[::]:7000"}, "control on [::]:7000 would let anyone on the network change routes"),
        ({"control": "models.example:7000"}, "control on models.example:7000 would let anyone on the network change routes"),
        ({"control_http": "0.0.0.0:7000"}, "control_http on 0.0.0.0:7000 would let anyone on the network change routes"),
        ({"control_http": "7000"}, "'7000' is no address: write HOST:PORT"),
        ({"control_http": "127.0.0.1:7000", "control": "off"}, "control_http calls the servers on their control sockets"),
        ({"control_clients": Path("ca.pem")}, "control_clients is for encrypted calls: set tls_certificate and tls_key too"),
    ],
)
def test_control_beyond_loopback_needs_tls(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SetupError) as refused:
        ServeSettings(**settings).check_control()
    assert str(refused.value).startswith(says)
    ServeSettings(control="127.0.0.1:7000", control_http="localhost:7001").check_control()
