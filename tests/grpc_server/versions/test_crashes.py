"""A server killed at any step of a rollout serves the last written route table after a restart."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foretell_contract.contract import Contract
from grpc_server.versions.startup import open_served_model
from tests.grpc_server.store.test_route_table_files import WRITING
from tests.support.models.candidates import add_steady, loader, promote
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

ROLL_OUT = """
import sys, threading
from pathlib import Path
from foretell_contract.contract import load
from grpc_server.versions.startup import open_served_model
from tests.support.models.candidates import loader, promote
root = Path(sys.argv[1])
served = open_served_model(loader(root, load(Path("protos")), keep_warm=0))
promote(root, "2")
served.refresh()
threading.Event().wait(60)
"""


FAILPOINTS = ("tried", "loaded", "before-flip", "after-flip", "before-close")


def test_every_failpoint_is_tested() -> None:
    code = "".join(path.read_text() for path in (ROOT / "grpc_server").rglob("*.py"))
    assert set(re.findall(r'failpoint\("([^"]+)"\)', code)) == {*FAILPOINTS, *WRITING}


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_server_restarts_with_written_routes(tmp_path: Path, contract: Contract, failpoint: str) -> None:
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    environment = os.environ | {"FORETELL_FAILPOINT": failpoint, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", ROLL_OUT, str(tmp_path)], env=environment, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    served = open_served_model(loader(tmp_path, contract))
    try:
        assert (served.routing.production.version.version, served.routing.production.generation) == ("2", 2)
    finally:
        served.close(10)
