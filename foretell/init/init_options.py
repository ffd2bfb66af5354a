"""The options of `foretell init`, and the package name that follows from them."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from foretell.mlflow.address import Address, is_address
from foretell.mlflow.model_source import ModelSource
from foretell_contract.errors import SetupError
from foretell_contract.source.compiler import IMPORTED
from foretell_contract.source.spelling import snake
from grpc_server.checks.acceleration import Acceleration
from grpc_server.checks.data_file import DataFile
from grpc_server.checks.training_columns import ModelHints
from grpc_server.store.manifest import RegistrySource

_PACKAGE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.v[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The options of one `foretell init`."""

    file: Path
    """The model's file, or a folder that MLflow saved."""
    data: DataFile | None
    package: str
    hints: ModelHints
    labels: tuple[str, ...]
    """Names for callers, one for each class in the model's order; empty for the model's own."""
    protos: Path
    models: Path
    allow_version_skew: bool = False
    source: RegistrySource | None = None
    write_breaking: bool = False
    """Whether to write an update that breaks callers."""
    tighten: bool = False
    """Whether an update may narrow bounds and drop categories that the model still takes."""
    model_name: str = ""
    """The name of the model; empty for the package without its version."""
    code: Path | None = None
    """An archive of the modules that the model needs, if MLflow saved some."""
    accelerate: Acceleration = "no"

    def of(self, source: ModelSource) -> Self:
        """The options with the file of the model, and the names and types that MLflow saved with it."""
        columns = self.hints.columns or tuple(source.columns)
        hints = replace(self.hints, columns=columns, outputs=source.outputs, dtypes=source.columns, optional=source.optional)
        return replace(self, file=source.file, hints=hints, source=source.source, code=source.code)

    @property
    def folder_flags(self) -> str:
        """The flags of further commands for folders that are not the default ones."""
        folders = {"protos": self.protos, "models": self.models}
        return "".join(f" --{name} {folder}" for name, folder in folders.items() if str(folder) != name)

    @property
    def contract_file(self) -> Path:
        """The `.proto` file to write: `protos/churn/v1/churn.proto` for churn.v1."""
        return self.protos.joinpath(*self.package.split(".")) / f"{self.package.split('.')[-2]}.proto"

    @property
    def target_name(self) -> str:
        """The name of the only target; empty if unknown or several."""
        names = self.hints.targets or self.hints.outputs
        return names[0] if len(names) == 1 else ""

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.model_name or self.package.rpartition(".")[0]


def package_name(place: str, package: str, name: str) -> str:
    """The package of a contract: `package`, or else named after the model `name`, or else after the file or folder at `place`.

    Raises SetupError if it is not a package name, is reserved for imports, or belongs to another model than `name`.
    """
    file = Path(Address.parse(place).name if is_address(place) else place)
    stem = file.resolve().parent.name if file.stem == "model" else file.stem
    wanted = package or f"{name or snake(stem, 'model')}.v1"
    if not _PACKAGE.fullmatch(wanted):
        raise SetupError(f"{wanted!r} is not a package: use lower-case words and a version, such as churn.v1")
    if wanted.partition(".")[0] in IMPORTED:
        raise SetupError(
            f"the package {wanted} is in one of the folders {', '.join(IMPORTED)}, which hold imports: pass another --package"
        )
    model = wanted.rpartition(".")[0]
    if name and model != name:
        raise SetupError(f"the package {wanted} belongs to the model {model!r}, not {name!r}: leave out --package or --name")
    return wanted
