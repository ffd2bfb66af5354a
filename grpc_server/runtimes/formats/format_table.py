"""Which formats there are: those that Foretell brings, and those of the packages that are installed beside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from grpc_server.errors import ModelError, ModelUnloadable
from grpc_server.runtimes.formats.built_in import ENTRY_POINTS
from grpc_server.runtimes.formats.format import GROUP, Format
from grpc_server.runtimes.runtime import Runtime

_REASON = 200
"""Characters of a foreign exception that are shown."""


def format_of(file: Path, data: bytes, wanted: str = "") -> str:
    """Name of the format of a file with these bytes: the `wanted` one, or what it is recognised as.

    Raises ModelUnloadable where it is none, or may be several.
    """
    if wanted:
        format_named(wanted)
        return wanted
    known, broken = _known()
    fit = [name for name, each in known.items() if file.suffix in each.suffixes]
    found = [name for name in fit if _holds(known[name].recognises, data)]
    if len(found) > 1:
        choice = " or ".join(f"--format {name}" for name in found)
        raise ModelUnloadable(f"{file.name} may be {' and '.join(map(_whose, found))}", f"pass {choice}")
    if found:
        return found[0]
    if fit:
        raise ModelUnloadable(
            f"{file.name} holds no model of {' or '.join(fit)}, as its name would have it",
            "pass the file that holds the trained model",
        )
    suffixes = ", ".join(suffix for each in known.values() for suffix in each.suffixes)
    raise ModelUnloadable("; ".join([f"{file.name} is none of {suffixes}", *broken]))


def format_named(name: str) -> Format:
    """The format of this name. Raises ModelUnloadable where there is none, or two, or its package is broken."""
    declared = [point for point in _declared() if point.name == name]
    if not declared:
        names = sorted({point.name for point in _declared()})
        raise ModelUnloadable(f"the format {name!r} is none of {', '.join(names)}", "install the package that brings it")
    return _loaded(declared)


def load(format_name: str, artifact: bytes) -> Runtime:
    """Load an artifact of a known format. Raises ModelUnloadable.

    The caller has verified the bytes: a joblib artifact runs code while it is loaded.
    """
    loader = loader_of(format_name)
    try:
        with needing(format_name, format_named(format_name).install):
            return loader(artifact)
    except ModelError:
        raise
    except Exception as error:  # Of a foreign format.
        raise ModelUnloadable(f"the {format_name} artifact does not load ({_reason(error)})") from error


def loader_of(format_name: str) -> Callable[[bytes], Runtime]:
    """What loads the format; its libraries are then imported. Raises ModelUnloadable."""
    chosen = format_named(format_name)
    with needing(format_name, chosen.install):
        try:
            loader: Callable[[bytes], Runtime] = EntryPoint(format_name, chosen.loader, GROUP).load()
        except ModuleNotFoundError:
            raise
        except Exception as error:
            raise ModelUnloadable(
                f"what loads the format {format_name!r} cannot be imported ({_reason(error)})", "repair the package that brings it"
            ) from error
    return loader


@contextmanager
def needing(format_name: str, install: str) -> Iterator[None]:
    """Raises ModelUnloadable, with what to install, where a library is missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        fix = f"pip install '{install}'" if install else ""
        raise ModelUnloadable(f"{format_name} needs {missing.name}, which is not installed", fix) from None


@cache
def _declared() -> tuple[EntryPoint, ...]:
    """Those of other packages by the packages' names: a folder lists them in any order."""
    return (*ENTRY_POINTS, *sorted(entry_points(group=GROUP), key=_owner))


def _known() -> tuple[dict[str, Format], list[str]]:
    """All formats that can be used, by name, and what is wrong with the others."""
    known, broken = {}, []
    for name in dict.fromkeys(point.name for point in _declared()):
        try:
            known[name] = format_named(name)
        except ModelUnloadable as error:
            broken.append(str(error))
    return known, broken


def _loaded(declared: list[EntryPoint]) -> Format:
    name = declared[0].name
    if len(declared) > 1:
        owners = " and ".join(map(_owner, declared))
        raise ModelUnloadable(f"the format {name!r} is brought by {owners}", "uninstall all of them but one")
    try:
        found: Any = declared[0].load()
    except Exception as error:  # Whatever the import of a foreign package may raise.
        raise ModelUnloadable(f"{_whose(name)} cannot be imported ({_reason(error)})", "repair or uninstall it") from error
    if not isinstance(found, Format):
        raise ModelUnloadable(f"{_whose(name)} is {type(found).__name__} and no Format", "repair or uninstall it")
    return found


def _holds(recognises: Callable[[bytes], bool], data: bytes) -> bool:
    try:
        return bool(recognises(data))
    except Exception:  # Of a foreign format: it has not recognised it.
        return False


def _whose(name: str) -> str:
    owners = [_owner(point) for point in _declared() if point.name == name]
    return f"the format {name!r} of {' and '.join(owners)}"


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "foretell"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_REASON]}"
