"""A format of models: which files are of it, and what loads them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

GROUP = "foretell.runtimes"
"""The group of entry points by which a package brings formats: each has the format's name and is a Format."""


def _always(_data: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Format:
    """What is known of a format before its library is imported."""

    suffixes: tuple[str, ...]
    """Ends of the names of its files, each with its dot; empty for a format that is only ever made of another."""
    loader: str
    """Where the function is that makes a Runtime of the bytes of a file, as "package.module:function". It is imported when it is
    first needed, and raises ModelUnloadable for bytes that hold no model. The bytes are those that were added."""
    libraries: tuple[str, ...] = ()
    """Distributions whose versions are recorded with each model; those that are not installed are left out."""
    bound_to: tuple[str, ...] = ()
    """Those of them of which another minor version must not serve the model."""
    recognises: Callable[[bytes], bool] = _always
    """Whether the bytes of a file with such a name are of this format, where others use the suffix too."""
    install: str = ""
    """What is to be installed where the loader misses a library, as pip takes it."""
    forks: bool = False
    """Whether a process that has imported the loader may fork: its libraries begin no threads, which would then be missing."""

    @property
    def versions(self) -> dict[str, str]:
        """The installed libraries and their versions."""
        found = {}
        for library in self.libraries:
            with suppress(PackageNotFoundError):
                found[library] = version(library)
        return found
