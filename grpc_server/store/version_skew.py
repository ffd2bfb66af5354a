"""Whether a model is served by the libraries that it was trained with."""

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes.formats.format_table import format_named


def check_skew(format_name: str, recorded: Mapping[str, str], place: str, *, allowed: bool) -> None:
    """`recorded` are the versions of the libraries that a model was trained with, by their names.

    Raises ModelUnloadable where a library to which the format is bound is of another minor version here, unless that is allowed.
    """
    for library, trained, here in () if allowed else skewed(format_name, recorded):
        raise ModelUnloadable(
            f"{place} was trained with {library} {trained}, but {here} is to serve it",
            f"pip install '{library}=={trained}', train it again, or let it pass with --allow-version-skew",
        )


def skewed(format_name: str, recorded: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each such library, its version then and its version here. Raises ModelUnloadable where nobody brings the format."""
    for library in format_named(format_name).bound_to:
        try:
            here = version(library)
        except PackageNotFoundError:
            continue  # Whoever loads the model says so.
        trained = recorded.get(library, here)
        if _minor(trained) != _minor(here):
            yield library, trained, here


def _minor(version_of: str) -> list[str]:
    return version_of.split(".")[:2]
