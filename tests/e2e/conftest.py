"""Fixtures: a running Foretell with the bridge inside the server's process or beside it, and clients of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foretell_contract.contract import Contract
from tests.support.processes import LAYOUTS, Foretell, foretell
from tests.support.servers.clients import Clients


@pytest.fixture(scope="session", params=["inside", "beside"])
def running(running: Foretell, models: Path, request: pytest.FixtureRequest) -> Iterator[Foretell]:
    if request.param == "inside":
        yield running
        return
    with foretell(models, *LAYOUTS[request.param][0]) as started:
        yield started


@pytest.fixture(scope="session")
def clients(running: Foretell, contract: Contract) -> Iterator[Clients]:
    opened = Clients(running, contract)
    yield opened
    opened.close()
