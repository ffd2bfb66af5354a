"""The gates that a version passes before it answers anybody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from grpc_server.errors import ModelError, ModelMismatch


class Gate(StrEnum):
    """In the order in which a version comes to them."""

    DIGEST = "digest"
    """Its files are those that were added."""
    REVISION = "revision"
    """The contract has not changed in a way that breaks callers of the revision that it was made for."""
    LOAD = "load"
    """A model comes out of them."""
    CONTRACT = "contract"
    """Its columns and classes are those of the manifest and of the contract, and it answers the contract's examples."""
    GOLDEN = "golden"
    """It answers its golden rows as recorded."""
    WARM_UP = "warm-up"
    """It answers rows with finite numbers, and fast enough; where it runs in processes, these have started."""


class Gates:
    """Tells which gate a version is at, and puts the gate's name on what goes wrong there."""

    def __init__(self, place: str, tell: Callable[[Gate], None] = lambda _gate: None) -> None:
        """`place` names the version in messages; `tell` is called at each gate."""
        self._place = place
        self._tell = tell

    @contextmanager
    def __call__(self, gate: Gate) -> Iterator[None]:
        """Raises ModelError, with the gate, for whatever the block raises: a model may raise anything."""
        self._tell(gate)
        try:
            yield
        except ModelError as error:
            error.gate = gate
            raise
        except BaseException as error:  # SystemExit too.
            mismatch = ModelMismatch(f"{self._place} fails ({type(error).__name__}: {str(error)[:200]})")
            mismatch.gate = gate
            raise mismatch from error
