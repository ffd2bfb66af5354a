"""Commands with --target: through a remote control service with TLS and client certificates."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import trustme
from typer.testing import CliRunner, Result

from foretell.cli import app
from foretell_contract.errors import SetupError
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import RouteTable
from grpc_server.store.route_table_files import RouteTableFiles
from tests.foretell.serve.test_serve_command import children
from tests.support.models import candidates
from tests.support.models.candidates import add, add_steady, golden, promote
from tests.support.processes import ANY_PORT, ROOT, foretell

pytestmark = pytest.mark.slow

SERVER = "localhost:0"


@dataclass(frozen=True)
class RemoteServer:
    """Addresses and certificates of a server, and its repository for assertions."""

    root: Path
    control: str
    http: str
    grpc: str
    certificates: Path

    @property
    def ours(self) -> list[str]:
        """Flags of a client with a certificate that the server trusts."""
        folder = self.certificates
        return ["--roots", f"{folder}/roots.pem", "--certificate", f"{folder}/ci.pem", "--key", f"{folder}/ci.key"]

    @property
    def routes(self) -> RouteTable:
        return RouteTableFiles(Repository(self.root)).read("iris")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteServer]:
    root, folder = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("certificates")
    add_steady(root, 2)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "roots.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "strangers.pem"))
    for name, identity in (("server", "localhost"), ("ci", "ci@models.example")):
        issued = authority.issue_cert(identity)
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        for part in issued.cert_chain_pems:
            part.write_to_path(str(folder / f"{name}.pem"), append=True)
    encryption = {"tls_certificate": f"{folder}/server.pem", "tls_key": f"{folder}/server.key"}
    arguments = ["--control", SERVER, "--control-http", SERVER, "--grpc-address", SERVER]
    with foretell(root, *arguments, control_clients=f"{folder}/roots.pem", **encryption) as running:
        control, docs = [line.split()[1] for line in running.banner.splitlines() if line.startswith("  control ")]
        yield RemoteServer(root, control, docs.removesuffix("/docs"), running.grpc, folder)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment)


def refusal(*arguments: str, **environment: str) -> str:
    result = run(*arguments, **environment)
    assert isinstance(result.exception, SetupError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_every_command_works_remotely(elsewhere: RemoteServer) -> None:
    there = ["--target", elsewhere.control, *elsewhere.ours]
    promoted = run("promote", "iris", "1", "--why", "rehearsal", *there).stdout.splitlines()
    assert promoted[:5] == [f"  {gate:<9} passed" for gate in ("digest", "load", "contract", "golden", "warm-up")]
    assert all(line.startswith("  the server is at the gate ") for line in promoted[5:-2])
    assert promoted[-2] == "production of iris is version 1 (generation 2)"
    assert promoted[-1].endswith(" follows generation 2")
    change = elsewhere.routes.history[-1]
    assert (change.who.endswith(" (control)"), change.why, change.after) == (True, "rehearsal", "1")
    run("canary", "iris", "2", "--share", "5%", *there)
    run("shadow", "iris", "2", "--no-wait", *there)
    assert (elsewhere.routes.canary, elsewhere.routes.shadow) != (None, None)
    assert RouteTable.model_validate_json(run("history", "iris", "--json", *there).stdout) == elsewhere.routes
    run("canary", "iris", "2", "--share", "0", *there)
    run("shadow", "iris", "2", "--end", *there)
    told = json.loads(run("rollback", "iris", "--json", *there).stdout)
    assert (told["aliases"], told["server"], len(told["servers"])) == ({"production": "2"}, "served", 1)
    run("retire", "iris", "1", *there)
    assert elsewhere.routes.retired == ("1",)
    assert [model["version"] for model in json.loads(run("models", "--json", *there).stdout)["models"]] == ["2"]
    version = add(elsewhere.root, candidates.Steady(0.5), golden(0.4))
    refused = run("promote", "iris", version, *there)
    assert refused.stdout.splitlines()[-2:] == ["  contract  passed", "  golden    refused"]
    assert str(refused.exception).endswith("(gate golden; nothing has changed)")
    stale = refusal("promote", "iris", "2", "--generation", "1", *there)
    assert stale == "the route table of iris is at generation 8, not 1: see `foretell history iris`"


def test_killed_server_leaves_a_hint(tmp_path: Path) -> None:
    add_steady(tmp_path, 1)
    promote(tmp_path, "1")
    version = add(tmp_path, candidates.Hanging(0.5))
    with foretell(tmp_path, "--control", ANY_PORT) as running:
        (control,) = [line.split()[1] for line in running.banner.splitlines() if line.startswith("  control ")]
        command = [sys.executable, "-m", "foretell", "promote", "iris", version, "--target", control]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
            assert asking.stdout is not None
            assert asking.stdout.readline() == "  digest    passed\n"
            ((_, pid),) = children(running.process)
            os.kill(pid, signal.SIGKILL)
            _, stderr = asking.communicate()
    assert stderr == f"foretell: {control} stopped answering during the change: check with `foretell history` whether it was made\n"


def test_rest_control_requires_client_certificate(elsewhere: RemoteServer) -> None:
    import ssl

    trusting = ssl.create_default_context(cafile=elsewhere.certificates / "roots.pem")
    with httpx2.Client(base_url=elsewhere.http, verify=trusting) as stranger, pytest.raises(httpx2.TransportError):
        stranger.get("/readyz")
    trusting.load_cert_chain(elsewhere.certificates / "ci.pem", elsewhere.certificates / "ci.key")
    with httpx2.Client(base_url=elsewhere.http, verify=trusting, timeout=60) as known:
        history = known.post("/control/history", json={"name": "iris"}).raise_for_status().json()
    assert history["generation"] == str(elsewhere.routes.generation)


def test_failed_connections_name_the_fix(elsewhere: RemoteServer, tmp_path: Path) -> None:
    target, folder = elsewhere.control, elsewhere.certificates
    there = ["history", "iris", "--target", target]
    assert refusal(*there) == f"{target} takes encrypted calls only: add --roots FILE, or --tls"
    untrusted = refusal(*there, "--roots", f"{folder}/strangers.pem")
    assert untrusted.startswith(f"{target} has an untrusted certificate, or one for another name")
    nameless = refusal(*there, "--roots", f"{folder}/roots.pem")
    assert nameless.endswith("add --certificate FILE --key FILE if it requires them")
    assert refusal(*there, "--key", f"{folder}/ci.key") == "--certificate and --key go together: set both, or neither"
    assert refusal(*there, "--roots", f"{folder}/ci.key") == f"{folder}/ci.key holds no certificate in PEM"
    assert refusal(*there, "--roots", "/nowhere") == "cannot read /nowhere: No such file or directory"
    assert "has no control service: give the address that" in refusal(
        "rollback", "iris", "--target", elsewhere.grpc, "--roots", f"{folder}/roots.pem"
    )
    assert refusal("rollback", "iris", "--target", "127.0.0.1:1") == "no control service answers at 127.0.0.1:1"
    assert refusal("promote", "iris", "1", "--target", target, "--models", str(tmp_path), "--protos", ".") == (
        "--target uses the folders of that server: leave out --models and --protos"
    )


def test_tls_port_without_sockets_needs_roots(elsewhere: RemoteServer) -> None:
    """As on the machine of a server with `control = off`."""
    asking = {"FORETELL_GRPC_ADDRESS": elsewhere.grpc, "FORETELL_CONTROL": "off", "FORETELL_MODELS": str(elsewhere.root)}
    says = f"{elsewhere.grpc} takes encrypted calls only: add --roots FILE, or --tls"
    assert refusal("models", **asking) == says
    change = run("promote", "iris", "2", "--no-check", **asking)
    assert (change.exit_code, change.stderr) == (0, f"{says}\n")
    roots = ["--roots", str(elsewhere.certificates / "roots.pem")]
    assert json.loads(run("models", "--json", *roots, **asking).stdout)["models"][0]["version"] == "2"
    assert json.loads(run("promote", "iris", "2", "--no-check", "--json", *roots, **asking).stdout)["server"] == "served"


def test_local_commands_need_no_certificates(elsewhere: RemoteServer) -> None:
    here = {"FORETELL_GRPC_ADDRESS": ANY_PORT, "FORETELL_MODELS": str(elsewhere.root)}
    assert json.loads(run("models", "--json", **here).stdout)["models"][0]["version"] == "2"
    assert json.loads(run("promote", "iris", "2", "--no-check", "--json", **here).stdout)["server"] == "served"
