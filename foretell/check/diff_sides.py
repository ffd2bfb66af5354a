"""The two sides of `foretell diff`, wherever they are."""

from pathlib import Path

from foretell.check.git_revision import at_revision
from foretell_contract.contract import Contract, load, load_set
from foretell_contract.diff.diff import read_set
from foretell_contract.errors import ContractError, SetupError
from foretell_contract.source.compiler import compile_file

_PROTOS = Path("protos")


def sides(old: str, new: str) -> tuple[Contract, Contract]:
    """The contracts that two words name: folders, `.proto` files, descriptor sets, or revisions as `REV` or `REV:PATH`.

    A revision without a path is of what the other word names, or else of the folder `protos`. Raises SetupError, with the word that
    names no contract.
    """
    return _side(old, new), _side(new, old)


def folder(new: str) -> Path | None:
    """Where the files of a side lie; None where they are on no disk."""
    path = Path(new)
    if path.suffix == ".proto" and path.is_file():
        return path.parent
    return path if path.is_dir() else None


def _side(word: str, other: str) -> Contract:
    path = Path(word)
    try:
        if path.exists():
            return _read(path)
        revision, _, inside = word.partition(":")
        elsewhere = Path(other) if folder(other) else _PROTOS
        with at_revision(revision, Path(inside) if inside else elsewhere) as copy:
            return _read(copy)
    except SetupError as error:
        raise SetupError(f"cannot compare {word}: {error}") from None


def _read(path: Path) -> Contract:
    if path.is_dir():
        return load(path)
    if path.suffix == ".proto":
        return load_set(compile_file(path))
    try:
        return load_set(read_set(path.read_bytes()))
    except OSError as error:
        raise ContractError(f"cannot read it: {error.strerror}") from None
