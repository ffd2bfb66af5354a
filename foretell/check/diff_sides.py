"""Loads the two contracts that `foretell diff` compares."""

from pathlib import Path

from foretell.check.git_revision import at_revision
from foretell_contract.contract import Contract, load, load_set
from foretell_contract.diff.diff import read_set
from foretell_contract.errors import ContractError, SetupError
from foretell_contract.source.compiler import compile_file

_PROTOS = Path("protos")


def sides(old: str, new: str) -> tuple[Contract, Contract]:
    """The old and the new contract, each a folder, `.proto` file, descriptor set, or git revision as `REV` or `REV:PATH`.

    A revision without a path is read at the path of the other side, or else at the folder `protos`.
    Raises SetupError, naming the side that is not a contract.
    """
    return _side(old, new), _side(new, old)


def folder(new: str) -> Path | None:
    """The folder of the files of a side; None for a descriptor set or a revision."""
    path = Path(new)
    if path.suffix == ".proto" and path.is_file():
        return path.parent
    return path if path.is_dir() else None


def _side(name: str, other: str) -> Contract:
    path = Path(name)
    try:
        if path.exists():
            return _read(path)
        revision, _, path_there = name.partition(":")
        default = Path(other) if folder(other) else _PROTOS
        with at_revision(revision, Path(path_there) if path_there else default) as copy:
            return _read(copy)
    except SetupError as error:
        raise SetupError(f"cannot compare {name}: {error}") from None


def _read(path: Path) -> Contract:
    if path.is_dir():
        return load(path)
    if path.suffix == ".proto":
        return load_set(compile_file(path))
    try:
        return load_set(read_set(path.read_bytes()))
    except OSError as error:
        raise ContractError(f"cannot read it: {error.strerror}") from None
