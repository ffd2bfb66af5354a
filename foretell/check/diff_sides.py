"""Loads the two contracts that `foretell diff` compares, from files or a git revision."""

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foretell_contract.contract import Contract, load, load_set
from foretell_contract.diff.diff import read_set
from foretell_contract.errors import ContractError, SetupError
from foretell_contract.source.compiler import compile_file, has_contracts


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
        with _at_revision(revision, Path(path_there or (other if folder(other) else "protos"))) as copy:
            return _read(copy)
    except SetupError as error:
        raise SetupError(f"cannot compare {name}: {error}") from None


def _read(path: Path) -> Contract:
    if path.is_dir():
        if not has_contracts(path):
            raise ContractError("it holds no .proto file", "name the folder above the contracts")
        return load(path)
    if path.suffix == ".proto":
        return load_set(compile_file(path))
    try:
        return load_set(read_set(path.read_bytes()))
    except OSError as error:
        raise ContractError(f"cannot read it: {error.strerror}") from None


@contextmanager
def _at_revision(revision: str, path: Path) -> Iterator[Path]:
    """A copy of the folder or file `path` at `revision`, beside every other `.proto` file; deleted when the `with` block ends.

    `path` may have been deleted since. Raises SetupError without git, outside a repository, and for an unknown revision or path.
    """
    here = next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.is_dir())
    top = Path(_git(here, f"{here} is not in a git repository", "rev-parse", "--show-toplevel").decode().strip())
    unknown = f"{revision!r} is neither a file, a folder nor a revision of git"
    commit = _git(top, unknown, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    archive = _git(top, f"{revision} holds no .proto file", "archive", "--format=tar", commit, "--", "*.proto")
    with tempfile.TemporaryDirectory(prefix="foretell-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        inside = path.resolve().relative_to(top)
        if not (Path(folder) / inside).exists():
            raise SetupError(f"{inside} is not in {revision}")
        yield Path(folder) / inside


def _git(folder: Path, message: str, *arguments: str) -> bytes:
    """The output of a git command. Raises SetupError with `message` if it fails."""
    git = shutil.which("git")
    if git is None:
        raise SetupError("reading a revision needs git: install it, or pass files or folders")
    done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise SetupError(message)
    return done.stdout
