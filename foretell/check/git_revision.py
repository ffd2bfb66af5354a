"""Reads contracts at a git revision."""

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foretell_contract.errors import SetupError


@contextmanager
def at_revision(revision: str, path: Path) -> Iterator[Path]:
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
