"""Folders in which MLflow saves models (https://mlflow.org/docs/latest/ml/model/), read without MLflow."""

import json
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile

from grpc_server.errors import ModelError, ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype

_MLMODEL = "MLmodel"
"""File that describes the folder, in YAML."""

_CODE = "code"
"""Folder to which MLflow copies the modules of `code_paths`."""

_FILE_KEYS = {"sklearn": "pickled_model", "onnx": "data", "xgboost": "data", "lightgbm": "data"}
"""For each flavor that can be read, the key of its model's file name. The first flavor that a folder has is read."""

_DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "string": "str",
    "datetime": "datetime64[ns]",
}
"""Types of training columns by type in a signature; every other type becomes float64."""


@dataclass(frozen=True, slots=True)
class SavedModel:
    """The model in a folder."""

    file: Path
    columns: dict[str, Dtype]
    """Inputs by name, from the signature; empty without a signature of named inputs."""
    optional: frozenset[str]
    """Names of the inputs that may be missing."""
    outputs: tuple[str, ...]
    """Names of the outputs; empty without a signature of named outputs."""


@contextmanager
def importable_code(archive: Path | None) -> Iterator[None]:
    """Let the block import the modules in an archive, and no others of their names: those of two versions may differ."""
    if archive is None:
        yield
        return
    names = {name.partition("/")[0].removesuffix(".py") for name in ZipFile(archive).namelist()}
    earlier = _forget(names)
    sys.path.insert(0, str(archive))
    try:
        yield
    finally:
        sys.path.remove(str(archive))
        _forget(names)
        sys.modules.update(earlier)


def _forget(names: Collection[str]) -> dict[str, ModuleType]:
    """Removes and returns the imported modules with these names, and those within them."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}


def packed_code(folder: Path, into: Path) -> Path | None:
    """The archive, in `into`, of the modules that MLflow saved in a folder (`code_paths`); None without any."""
    code = folder / _CODE
    return Path(shutil.make_archive(str(into / _CODE), "zip", code)) if code.is_dir() else None


def unpack(folder: Path, into: Path) -> SavedModel:
    """The model in a folder that MLflow saved; loading its file may run code.

    A skops file with trusted types is written to `into` as joblib: the repository trusts a digest, not types. Raises ModelError for
    a folder without a model of a flavor that can be read, and if PyYAML is not installed.
    """
    description = _description(folder)
    name, trusted = _file(description, folder)
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise ModelError(f"{folder / _MLMODEL} names {name}, which is no file in its folder")
    if file.suffix == ".skops" and trusted:
        file = _as_joblib(file, trusted, into)
    signature = description.get("signature") or {}
    inputs, outputs = _fields_by_name(signature.get("inputs")), _fields_by_name(signature.get("outputs"))
    optional = frozenset(name for name, field in inputs.items() if field.get("required") is False)
    columns = {name: Dtype(_DTYPES.get(str(field.get("type")), "float64")) for name, field in inputs.items()}
    return SavedModel(file, columns, optional, tuple(outputs))


def _description(folder: Path) -> dict[str, Any]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ModelError("reading a folder of MLflow needs PyYAML: pip install 'foretell[mlflow]'") from None
    try:
        description = yaml.safe_load((folder / _MLMODEL).read_bytes())
    except OSError:
        raise ModelError(f"{folder} has no file {_MLMODEL}: pass a model's file, or a folder that MLflow saved") from None
    except yaml.YAMLError:
        description = None
    if not isinstance(description, dict):
        raise ModelError(f"{folder / _MLMODEL} is not what MLflow writes")
    return description


def _file(description: dict[str, Any], folder: Path) -> tuple[str, list[str]]:
    """Name of the model's file, and the types that skops may load from it."""
    flavors = description.get("flavors") or {}
    for flavor, key in _FILE_KEYS.items():
        facts = flavors.get(flavor) or {}
        if isinstance(facts.get(key), str):
            return facts[key], [str(each) for each in facts.get("skops_trusted_types") or []]
    named = ", ".join(flavors) or "none"
    raise ModelError(f"{folder / _MLMODEL} names no model of scikit-learn, ONNX, XGBoost or LightGBM, but {named}")


def _as_joblib(file: Path, trusted: list[str], into: Path) -> Path:
    import joblib
    import skops.io

    from grpc_server.runtimes.sklearn.estimator import unpickled

    def load() -> Any:
        data = file.read_bytes()
        untrusted = [name for name in skops.io.get_untrusted_types(data=data) if name not in trusted]
        if untrusted:
            raise ModelUnloadable(f"{file.name} holds types that its {_MLMODEL} does not trust: {', '.join(untrusted[:5])}")
        return skops.io.loads(data, trusted=trusted)

    estimator, _ = unpickled("skops", load)
    joblib.dump(estimator, into / "model.joblib")
    return into / "model.joblib"


def _fields_by_name(side: Any) -> dict[str, dict[str, Any]]:
    """The fields of one side of a signature, by name; empty if one has no name, as a tensor."""
    try:
        fields = {each.get("name"): each for each in json.loads(side or "[]")}
    except (ValueError, TypeError, AttributeError):
        return {}
    return {str(name): field for name, field in fields.items()} if all(fields) else {}
