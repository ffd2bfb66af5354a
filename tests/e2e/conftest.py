"""The doors of the Foretells that the whole session shares: REST reaches the model directly, and over gRPC."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foretell_contract.contract import Contract
from tests.support.processes import LAYOUTS, Foretell, foretell
from tests.support.servers.callers import Doors


@pytest.fixture(scope="session", params=["inside", "beside"])
def running(running: Foretell, models: Path, request: pytest.FixtureRequest) -> Iterator[Foretell]:
    if request.param == "inside":
        yield running
        return
    with foretell(models, *LAYOUTS[request.param][0]) as started:
        yield started


@pytest.fixture(scope="session")
def doors(running: Foretell, contract: Contract) -> Iterator[Doors]:
    opened = Doors(running, contract)
    yield opened
    opened.close()
