"""Contracts as they were at a revision of git."""

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
    """A copy of the folder or file `path` as it was at `revision`, with every `.proto` file around it, until the `with` block ends.

    `path` need not exist any more. Raises SetupError without git, outside of a repository, and for what is not in it.
    """
    here = next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.is_dir())
    top = Path(_git(here, f"{here} is in no git repository", "rev-parse", "--show-toplevel").decode().strip())
    unknown = f"{revision!r} is neither a file, a folder nor a revision of git"
    commit = _git(top, unknown, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    archive = _git(top, f"no .proto file is in {revision}", "archive", "--format=tar", commit, "--", "*.proto")
    with tempfile.TemporaryDirectory(prefix="foretell-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        inside = path.resolve().relative_to(top)
        if not (Path(folder) / inside).exists():
            raise SetupError(f"{inside} is not in {revision}")
        yield Path(folder) / inside


def _git(folder: Path, otherwise: str, *arguments: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise SetupError("to read a revision, git must be installed; name files or folders instead")
    done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise SetupError(otherwise)
    return done.stdout
