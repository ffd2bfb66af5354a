"""The doors of the Foretell that the whole session shares."""

from collections.abc import Iterator

import pytest

from contract.contract import Contract
from tests.e2e.doors import Doors
from tests.processes import Foretell


@pytest.fixture(scope="session")
def doors(running: Foretell, contract: Contract) -> Iterator[Doors]:
    opened = Doors(running, contract)
    yield opened
    opened.close()
