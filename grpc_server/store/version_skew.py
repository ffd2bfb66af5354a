"""Compares the versions of the libraries that trained a model with those installed here."""

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from grpc_server.errors import ModelUnloadable
from grpc_server.runtimes.formats.format_table import format_named


def check_skew(format_name: str, recorded: Mapping[str, str], title: str, *, allowed: bool) -> None:
    """Raises ModelUnloadable if a library that the format depends on has another minor version here, unless `allowed`.

    `recorded` has the versions at training, by library name; `title` is the model in messages.
    """
    for library, trained, here in () if allowed else skewed(format_name, recorded):
        raise ModelUnloadable(
            f"{title} was trained with {library} {trained}, but {here} is installed",
            f"pip install '{library}=={trained}', train it again, or set FORETELL_ALLOW_VERSION_SKEW=true",
        )


def skewed(format_name: str, recorded: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yields each such library, its version at training and here. Raises ModelUnloadable for an unknown format."""
    for library in format_named(format_name).bound_to:
        try:
            here = version(library)
        except PackageNotFoundError:
            continue  # Loading the model reports it.
        trained = recorded.get(library, here)
        if trained.split(".")[:2] != here.split(".")[:2]:
            yield library, trained, here
