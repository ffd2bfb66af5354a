"""Opens the model at a location: a file, a folder saved by MLflow, or an address in an MLflow registry."""

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
class ModelSource:
    """A model as a file, valid within the block of `open_source`, with the names in MLflow's signature, as in SavedModel."""

    file: Path
    columns: dict[str, Dtype] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()
    source: RegistrySource | None = None
    code: Path | None = None
    """An archive of the modules that the model needs, if MLflow saved some."""


def name_for(location: str, name: str) -> str:
    """`name`, or else the name in the registry. Raises SetupError without either."""
    if not name and not is_address(location):
        raise SetupError(f"pass --name with the name of the model in {location}: the contract's package without its version")
    return name or Address.parse(location).name


@contextmanager
def open_source(location: str) -> Iterator[ModelSource]:
    """Downloads and unpacks the model at `location` if needed. Raises SetupError."""
    with ExitStack() as stack:
        if is_address(location):
            from foretell.mlflow.mlflow_registry import MlflowRegistry

            registry, folder = MlflowRegistry(), Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="foretell-")))
            source = registry.resolve(Address.parse(location))
            yield stack.enter_context(unpack_folder(registry.download(source, folder), source))
        elif Path(location).is_dir():
            yield stack.enter_context(unpack_folder(Path(location)))
        else:
            yield ModelSource(Path(location))


@contextmanager
def unpack_folder(folder: Path, source: RegistrySource | None = None) -> Iterator[ModelSource]:
    """Unpacks the model in a folder saved by MLflow. Raises ModelError."""
    from grpc_server.runtimes.formats.mlflow_folder import importable_code, packed_code, unpack

    with tempfile.TemporaryDirectory(prefix="foretell-") as into:
        code = packed_code(folder, Path(into))
        with importable_code(code):
            saved = unpack(folder, Path(into))
            yield ModelSource(saved.file, saved.columns, saved.optional, saved.outputs, source, code)
