"""The gates that a version passes, in order, before it serves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from grpc_server.errors import ModelError, ModelMismatch, exception_text


class Gate(StrEnum):
    """The gates in the order in which a version passes them."""

    DIGEST = "digest"
    """Its files have the digests that the manifest records."""
    REVISION = "revision"
    """The contract has no change that breaks callers of the revision that the version was made for."""
    LOAD = "load"
    """The artifact loads."""
    CONTRACT = "contract"
    """The model has the columns and classes of its manifest and of the contract, and answers the contract's examples."""
    GOLDEN = "golden"
    """The model gives the outputs of its golden rows."""
    WARM_UP = "warm-up"
    """The model predicts within `max_row_seconds` a row; its worker processes, if any, have started."""


class Gates:
    """Reports which gate a version is at, and names the gate in each error. For one version, on one thread."""

    def __init__(self, place: str, report: Callable[[Gate], None] = lambda _gate: None) -> None:
        """`place` names the version in messages; `report` is called at the start of each gate."""
        self._place = place
        self._report = report

    @contextmanager
    def __call__(self, gate: Gate) -> Iterator[None]:
        """Turn each exception of the block, even SystemExit, into a ModelError with the gate: a model may raise anything."""
        self._report(gate)
        try:
            yield
        except ModelError as error:
            error.gate = gate
            raise
        except BaseException as error:
            mismatch = ModelMismatch(f"{self._place} fails ({exception_text(error)})")
            mismatch.gate = gate
            raise mismatch from error
