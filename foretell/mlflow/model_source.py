"""Where a model comes from: a file, a folder that MLflow saved, or an address in a registry of MLflow's."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from foretell.mlflow.address import Address, is_address
from foretell_contract.errors import SetupError
from grpc_server.rows.mixed_rows import Dtype
from grpc_server.store.manifest import RegistrySource


@dataclass(frozen=True, slots=True)
class Sourced:
    """A model as a file, for as long as the block of `opened` lasts."""

    file: Path
    columns: dict[str, Dtype] = field(default_factory=dict)
    """Its inputs by name, as a signature of MLflow's tells them; empty where none does."""
    optional: frozenset[str] = frozenset()
    """Names of those that may be missing."""
    outputs: tuple[str, ...] = ()
    """What it predicts, as a signature of MLflow's names it; empty where none does."""
    source: RegistrySource | None = None
    """What it is in a registry; None where it comes from none."""


def name_for(place: str, name: str) -> str:
    """The name that is asked for, else the one in the registry. Raises SetupError for a place that tells none."""
    if not name and not is_address(place):
        raise SetupError(f"pass --name with the name of the model in {place}: the contract's package without its version")
    return name or Address.parse(place).name


@contextmanager
def opened(place: str) -> Iterator[Sourced]:
    """The model at `place`, fetched and unpacked as far as it has to be; loading it may run code. Raises SetupError."""
    with ExitStack() as held:
        if is_address(place):
            from foretell.mlflow.mlflow_registry import MlflowRegistry

            registry, folder = MlflowRegistry(), Path(held.enter_context(tempfile.TemporaryDirectory(prefix="foretell-")))
            registered = registry.resolve(Address.parse(place))
            yield held.enter_context(unpacked(registry.download(registered, folder), registered.source))
        elif Path(place).is_dir():
            yield held.enter_context(unpacked(Path(place)))
        else:
            yield Sourced(Path(place))


@contextmanager
def unpacked(folder: Path, source: RegistrySource | None = None) -> Iterator[Sourced]:
    """The model in a folder of MLflow's. Raises ModelError."""
    from grpc_server.runtimes.formats.mlflow_folder import unpack

    with tempfile.TemporaryDirectory(prefix="foretell-") as into:
        saved = unpack(folder, Path(into))
        yield Sourced(saved.file, saved.columns, saved.optional, saved.outputs, source)
