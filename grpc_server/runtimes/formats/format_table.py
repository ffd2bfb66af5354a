"""All model formats: those that Foretell brings, and those that installed packages bring."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from grpc_server.errors import ModelError, ModelUnloadable, exception_text
from grpc_server.runtimes.formats.format import GROUP, Format
from grpc_server.runtimes.runtime import Runtime

_PACKAGE = "grpc_server.runtimes.formats"
_SCIKIT_LEARN = ("scikit-learn", "numpy", "scipy", "joblib", "skops")

SKOPS = Format((".skops",), f"{_PACKAGE}.skops_format:load", _SCIKIT_LEARN, ("scikit-learn",), forks=True)
JOBLIB = Format((".joblib", ".pkl"), f"{_PACKAGE}.joblib_format:load", _SCIKIT_LEARN, ("scikit-learn",), forks=True)
ONNX = Format((".onnx",), f"{_PACKAGE}.onnx_format:load", ("numpy", "onnxruntime"), install="foretell[onnx]", forks=True)
TREES = Format((".tl",), f"{_PACKAGE}.trees_format:TreesRuntime", ("numpy", "treelite"), install="foretell[trees]", forks=True)
XGBOOST = Format(
    (".ubj", ".json", ".xgb"),
    f"{_PACKAGE}.xgboost_format:XgboostRuntime",
    ("numpy", "xgboost", "xgboost-cpu"),
    recognises=lambda data: data.lstrip()[:1] == b"{" and b"learner_model_param" in data,
    install="foretell[xgboost]",
    forks=True,
)
LIGHTGBM = Format(
    (".txt", ".lgb"),
    f"{_PACKAGE}.lightgbm_format:LightgbmRuntime",
    ("numpy", "lightgbm"),
    recognises=lambda data: data.startswith((b"tree\n", b"tree\r\n")),
    install="foretell[lightgbm]",
    forks=True,
)

ENTRY_POINTS = tuple(
    EntryPoint(name.lower(), f"{__name__}:{name}", GROUP) for name in ("SKOPS", "JOBLIB", "ONNX", "TREES", "XGBOOST", "LIGHTGBM")
)
"""Foretell's own entry points. Listed here, they exist without installing Foretell, and no package can take their names."""


def read(file: Path) -> bytes:
    """The bytes of a model's file. Raises ModelError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}") from None


def format_of(file: Path, data: bytes, format_name: str = "") -> str:
    """Name of the format of a file with the bytes `data`: `format_name` if given, else the one that recognises it.

    Raises ModelUnloadable if no format or several recognise the file, or none has the given name.
    """
    if format_name:
        format_named(format_name)
        return format_name
    formats, broken = _usable_formats()
    by_suffix = [name for name, each in formats.items() if file.suffix in each.suffixes]
    found = [name for name in by_suffix if _recognises(formats[name], data)]
    if len(found) == 1:
        return found[0]
    if found:
        options = " or ".join(f"--format {name}" for name in found)
        raise ModelUnloadable(f"{file.name} may be {' and '.join(map(_with_owner, found))}", f"pass {options}")
    if by_suffix:
        reason = f"{file.name} holds no model of {' or '.join(by_suffix)}, as its suffix says"
        raise ModelUnloadable(reason, "pass the file that holds the trained model")
    suffixes = ", ".join(suffix for each in formats.values() for suffix in each.suffixes)
    raise ModelUnloadable("; ".join([f"{file.name} is none of {suffixes}", *broken]))


def format_named(name: str) -> Format:
    """The format of a name. Raises ModelUnloadable if no package or several bring it, or its package cannot be imported."""
    declared = [point for point in _entry_points() if point.name == name]
    if not declared:
        names = sorted({point.name for point in _entry_points()})
        raise ModelUnloadable(f"the format {name!r} is none of {', '.join(names)}", "install the package that brings it")
    if len(declared) > 1:
        owners = " and ".join(map(_owner, declared))
        raise ModelUnloadable(f"the format {name!r} is brought by {owners}", "uninstall all of them but one")
    try:
        found: Any = declared[0].load()
    except Exception as error:  # Importing another package may raise anything.
        reason = f"{_with_owner(name)} cannot be imported ({exception_text(error)})"
        raise ModelUnloadable(reason, "repair or uninstall it") from error
    if not isinstance(found, Format):
        raise ModelUnloadable(f"{_with_owner(name)} is {type(found).__name__} and no Format", "repair or uninstall it")
    return found


def load(format_name: str, artifact: bytes) -> Runtime:
    """Load an artifact. Raises ModelUnloadable.

    Only for bytes whose digest has been verified: a joblib artifact runs code when it is loaded.
    """
    loader = loader_of(format_name)
    try:
        with needing(format_name, format_named(format_name).install):
            return loader(artifact)
    except ModelError:
        raise
    except Exception as error:  # The loader of another package may raise anything.
        raise ModelUnloadable(f"the {format_name} artifact does not load ({exception_text(error)})") from error


def loader_of(format_name: str) -> Callable[[bytes], Runtime]:
    """The loader of a format, whose libraries are then imported. Raises ModelUnloadable."""
    chosen = format_named(format_name)
    with needing(format_name, chosen.install):
        try:
            loader: Callable[[bytes], Runtime] = EntryPoint(format_name, chosen.loader, GROUP).load()
        except ModuleNotFoundError:
            raise
        except Exception as error:  # Importing another package may raise anything.
            reason = f"the loader of the format {format_name!r} cannot be imported ({exception_text(error)})"
            raise ModelUnloadable(reason, "repair the package that brings it") from error
    return loader


@contextmanager
def needing(format_name: str, install: str) -> Iterator[None]:
    """Turn ModuleNotFoundError of the block into ModelUnloadable with the requirement to install."""
    try:
        yield
    except ModuleNotFoundError as missing:
        fix = f"pip install '{install}'" if install else ""
        raise ModelUnloadable(f"{format_name} needs {missing.name}, which is not installed", fix) from None


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    """Our own, then those of packages, sorted by package since file systems list packages in any order."""
    return (*ENTRY_POINTS, *sorted(entry_points(group=GROUP), key=_owner))


def _usable_formats() -> tuple[dict[str, Format], list[str]]:
    """The formats by name, and the error text of each that cannot be used."""
    usable, broken = {}, []
    for name in dict.fromkeys(point.name for point in _entry_points()):
        try:
            usable[name] = format_named(name)
        except ModelUnloadable as error:
            broken.append(str(error))
    return usable, broken


def _recognises(chosen: Format, data: bytes) -> bool:
    try:
        return bool(chosen.recognises(data))
    except Exception:  # The recogniser of another package may raise anything.
        return False


def _with_owner(name: str) -> str:
    owners = [_owner(point) for point in _entry_points() if point.name == name]
    return f"the format {name!r} of {' and '.join(owners)}"


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "foretell"
