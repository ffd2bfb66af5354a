"""The description of a model format: its files, its loader and its libraries."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

GROUP = "foretell.runtimes"
"""Group of the entry points by which packages bring formats. An entry point is named like its format, and its value is a Format."""


@dataclass(frozen=True, slots=True)
class Format:
    """A model format, described without importing its libraries."""

    suffixes: tuple[str, ...]
    """Suffixes of its files, each with its dot; empty for a format that only conversions write."""
    loader: str
    """Function from the bytes of a file to a Runtime, as "package.module:function"; imported at its first use.

    It raises ModelUnloadable for bytes that hold no model of the format. It gets only bytes whose digest is the recorded one."""
    libraries: tuple[str, ...] = ()
    """Distributions whose installed versions the manifest records."""
    bound_to: tuple[str, ...] = ()
    """Libraries whose minor version must be the recorded one to serve the model."""
    recognises: Callable[[bytes], bool] = lambda _data: True
    """Whether the bytes of a file with one of the suffixes are of this format; needed if other formats share the suffix."""
    install: str = ""
    """Requirement that `pip install` takes if the loader lacks a library."""
    forks: bool = False
    """Whether a process that has imported the loader may fork: its libraries start no threads, which a fork would lose."""

    @property
    def versions(self) -> dict[str, str]:
        """The installed version of each library; a library that is not installed is left out."""
        found = {}
        for library in self.libraries:
            with suppress(PackageNotFoundError):
                found[library] = version(library)
        return found
